package ringmq;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/**
 * What Apache's Java client does against its own broker, done against the broker at hand.
 *
 * <p>Usage: {@code Scenarios NAMESRV [SCENARIO..]}. Each scenario has topics and groups of its own,
 * so they run side by side. One line each: {@code ok NAME: figures} or {@code FAIL NAME: why}.
 */
public final class Scenarios {
    interface Scenario {
        String run(Cluster cluster) throws Exception;
    }

    static final Map<String, Scenario> ALL = new TreeMap<>();

    static {
        ALL.put("send-sync", Sends::sync);
        ALL.put("send-async", Sends::async);
        ALL.put("send-oneway", Sends::oneway);
        ALL.put("send-batch", Sends::batch);
        ALL.put("send-refused", Sends::refused);
        ALL.put("push-concurrent", Pushes::concurrent);
        ALL.put("push-orderly", Pushes::orderly);
        ALL.put("push-tags", Pushes::tags);
        ALL.put("push-rebalance", Pushes::rebalance);
        ALL.put("push-resume", Pushes::resume);
        ALL.put("pull-lite", Pulls::lite);
        ALL.put("pull-assign", Pulls::assign);
        ALL.put("pull-plain", Pulls::plain);
    }

    private static final long LIMIT_SECONDS = 100;

    public static void main(String[] args) throws Exception {
        Cluster cluster = new Cluster(args[0]);
        Map<String, Scenario> chosen = new TreeMap<>();
        for (int i = 1; i < args.length; i++) {
            chosen.put(args[i], ALL.containsKey(args[i]) ? ALL.get(args[i]) : only(args[i]));
        }
        if (chosen.isEmpty()) {
            chosen.putAll(ALL);
        }
        ExecutorService threads = Executors.newCachedThreadPool();
        Map<String, Future<String>> running = new TreeMap<>();
        for (Map.Entry<String, Scenario> entry : chosen.entrySet()) {
            Callable<String> task = () -> entry.getValue().run(cluster);
            running.put(entry.getKey(), threads.submit(task));
        }
        List<String> failed = new ArrayList<>();
        for (Map.Entry<String, Future<String>> entry : running.entrySet()) {
            try {
                String figures = entry.getValue().get(LIMIT_SECONDS, TimeUnit.SECONDS);
                System.out.println("ok " + entry.getKey() + ": " + figures);
            } catch (Exception e) {
                failed.add(entry.getKey());
                Throwable cause = e.getCause() == null ? e : e.getCause();
                System.out.println("FAIL " + entry.getKey() + ": " + cause);
                cause.printStackTrace(System.out);
            }
        }
        System.out.println((chosen.size() - failed.size()) + " ok, " + failed.size() + " failed");
        System.exit(failed.isEmpty() ? 0 : 1);
    }

    private static Scenario only(String name) {
        if (name.equals("survive-kill")) {
            return Survival::kill;
        }
        throw new IllegalArgumentException("no scenario is called " + name);
    }

    private Scenarios() {}
}
