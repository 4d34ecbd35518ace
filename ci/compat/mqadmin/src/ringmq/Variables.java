package ringmq;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Names in the sequence for what differs from run to run. */
final class Variables {
    private static final Pattern NAME = Pattern.compile("\\$\\{([^}]+)\\}");

    private final Map<String, String> values = new HashMap<>();

    Variables(String broker, String folder) {
        set("broker", broker);
        set("folder", folder);
    }

    void set(String name, String value) {
        values.put(name, value);
    }

    String[] resolve(List<String> words) {
        return words.stream().map(this::resolve).toArray(String[]::new);
    }

    String resolve(String text) {
        Matcher matcher = NAME.matcher(text);
        return matcher.replaceAll(match -> {
            String value = values.get(match.group(1));
            return Matcher.quoteReplacement(value == null ? match.group() : value);
        });
    }
}
