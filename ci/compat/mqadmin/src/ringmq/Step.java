package ringmq;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** One line of the sequence: {@code name [key=value, ..]: words}; words in quotes may hold spaces. */
final class Step {
    private static final Pattern LINE = Pattern.compile("(\\S+?)(?: \\[(.*?)\\])?: (.*)");
    private static final Pattern WORD = Pattern.compile("\"([^\"]*)\"|(\\S+)");

    private final String name;
    private final Map<String, String> attributes;
    private final List<String> words;

    private Step(String name, Map<String, String> attributes, List<String> words) {
        this.name = name;
        this.attributes = attributes;
        this.words = words;
    }

    static List<Step> read(Path sequence) throws IOException {
        List<Step> steps = new ArrayList<>();
        for (String line : Files.readAllLines(sequence)) {
            if (!line.isBlank() && !line.startsWith("#")) {
                steps.add(parse(line));
            }
        }
        return steps;
    }

    private static Step parse(String line) {
        Matcher matcher = LINE.matcher(line);
        if (!matcher.matches()) {
            throw new IllegalArgumentException("not a step: " + line);
        }
        Map<String, String> attributes = new HashMap<>();
        if (matcher.group(2) != null) {
            for (String attribute : matcher.group(2).split(", ")) {
                String[] parts = attribute.split("=", 2);
                attributes.put(parts[0], parts.length == 2 ? parts[1] : "");
            }
        }
        List<String> words = new ArrayList<>();
        Matcher word = WORD.matcher(matcher.group(3));
        while (word.find()) {
            words.add(word.group(1) == null ? word.group(2) : word.group(1));
        }
        return new Step(matcher.group(1), attributes, words);
    }

    String name() {
        return name;
    }

    List<String> words() {
        return words;
    }

    /** Whether it prepares something instead of running a command. */
    boolean isAction() {
        return attributes.containsKey("do");
    }

    boolean isFor(String version) {
        String only = attributes.get("only");
        return only == null || only.equals(version);
    }

    /** What the output must hold before it counts. */
    Pattern until() {
        String text = attributes.get("until");
        return text == null ? null : Pattern.compile(text);
    }

    /** The file that the command writes and that is part of its output. */
    String file() {
        return attributes.get("file");
    }

    /** Seconds that it may take; 0 when the sequence does not say. */
    long limit() {
        return Long.parseLong(attributes.getOrDefault("limit", "0"));
    }
}
