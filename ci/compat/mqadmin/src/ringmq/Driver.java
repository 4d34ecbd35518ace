package ringmq;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Pattern;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/**
 * Runs the sequence of mqadmin commands in one Java machine and writes what each printed.
 *
 * <p>Arguments: version of the tool, name server, broker, folder for files, the sequence, the report.
 */
public final class Driver {
    /** How long a command may take when the sequence does not say. */
    private static final int LIMIT_SECONDS = 15;
    /** How long a command is repeated until it shows what it must. */
    private static final int PATIENCE_SECONDS = 45;

    private final Workload workload;
    private final Variables variables;
    private final String namesrv;
    private final PrintStream report;

    private Driver(String namesrv, Variables variables, PrintStream report) {
        this.namesrv = namesrv;
        this.variables = variables;
        this.report = report;
        this.workload = new Workload(namesrv, variables);
    }

    public static void main(String[] args) throws Exception {
        String version = args[0];
        Capture.install();
        Exit.forbid();
        Variables variables = new Variables(args[2], args[3]);
        try (PrintStream report = new PrintStream(args[5], StandardCharsets.UTF_8)) {
            Driver driver = new Driver(args[1], variables, report);
            for (Step step : Step.read(Path.of(args[4]))) {
                if (step.isFor(version)) {
                    driver.run(step);
                }
            }
        }
        Exit.allow();
        Runtime.getRuntime().halt(0);
    }

    private void run(Step step) throws IOException {
        long begun = System.nanoTime();
        String printed = step.isAction() ? act(step) : repeat(step);
        long millis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - begun);
        report.println("=== " + step.name() + " " + millis);
        report.println(printed.stripTrailing());
        report.flush();
    }

    private String act(Step step) {
        try {
            return workload.act(variables.resolve(step.words()));
        } catch (Exception e) {
            return "the step failed: " + e;
        }
    }

    /** Runs the command until its output holds what the step waits for, or patience ends. */
    private String repeat(Step step) throws IOException {
        Pattern until = step.until();
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        while (true) {
            String printed = command(step);
            if (until == null || until.matcher(printed).find() || System.nanoTime() > deadline) {
                return printed;
            }
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(300));
        }
    }

    private String command(Step step) throws IOException {
        String[] words = variables.resolve(step.words());
        String[] arguments = new String[words.length + 2];
        System.arraycopy(words, 0, arguments, 0, words.length);
        arguments[words.length] = "-n";
        arguments[words.length + 1] = namesrv;
        Path file = step.file() == null ? null : Path.of(variables.resolve(step.file()));
        if (file != null) {
            Files.deleteIfExists(file);
        }
        String printed = execute(step, arguments);
        if (file == null) {
            return printed;
        }
        String written = Files.exists(file) ? Files.readString(file) : "(no file was written)";
        return printed.stripTrailing() + "\n--- written\n" + written;
    }

    /** The command on a thread of its own, whose printing (and that of its children) is kept. */
    private static String execute(Step step, String[] arguments) {
        Capture capture = new Capture();
        Thread thread = new Thread(() -> {
            capture.begin();
            try {
                MQAdminStartup.main0(arguments, null);
            } catch (Exit exit) {
                System.out.println("[exit " + exit.status() + "]");
            } catch (Throwable e) {
                e.printStackTrace();
            }
        }, "mqadmin");
        thread.setDaemon(true);
        thread.start();
        long limit = step.limit() == 0 ? LIMIT_SECONDS : step.limit();
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(limit);
        while (thread.isAlive() && System.nanoTime() < deadline) {
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(5));
            hastenEnd(thread);
        }
        String printed = capture.text();
        if (thread.isAlive()) {
            thread.interrupt();
            return printed.stripTrailing() + "\n[no end within " + limit + " s]";
        }
        return printed;
    }

    /**
     * A command ends by waiting for a thread of its client that looks up only every three seconds:
     * that thread is woken, or the whole sequence would take five times as long.
     */
    private static void hastenEnd(Thread command) {
        for (StackTraceElement frame : command.getStackTrace()) {
            if (frame.getClassName().endsWith(".ServiceThread") && frame.getMethodName().equals("shutdown")) {
                for (Thread thread : Thread.getAllStackTraces().keySet()) {
                    if (thread.getName().startsWith("NettyEventExecut")) {
                        thread.interrupt();
                    }
                }
                return;
            }
        }
    }
}
