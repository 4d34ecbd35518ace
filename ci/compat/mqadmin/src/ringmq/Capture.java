package ringmq;

import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/** What one command prints, on whichever of its threads; what nobody asked for goes nowhere. */
final class Capture {
    private static final InheritableThreadLocal<ByteArrayOutputStream> CURRENT = new InheritableThreadLocal<>();

    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

    /** Directs both streams of the machine to the captures of the threads that print. */
    static void install() {
        PrintStream stream = new PrintStream(new Router(), true, StandardCharsets.UTF_8);
        System.setOut(stream);
        System.setErr(stream);
    }

    /** This thread and those it starts print into this capture. */
    void begin() {
        CURRENT.set(bytes);
    }

    String text() {
        return bytes.toString(StandardCharsets.UTF_8);
    }

    private static final class Router extends OutputStream {
        @Override
        public void write(int b) {
            ByteArrayOutputStream bytes = CURRENT.get();
            if (bytes != null) {
                bytes.write(b);
            }
        }

        @Override
        public void write(byte[] source, int offset, int length) {
            ByteArrayOutputStream bytes = CURRENT.get();
            if (bytes != null) {
                bytes.write(source, offset, length);
            }
        }
    }
}
