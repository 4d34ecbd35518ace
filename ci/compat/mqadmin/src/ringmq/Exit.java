package ringmq;

import java.security.Permission;

/** Thrown where a command would end the Java machine; an error, so that no command catches it. */
final class Exit extends Error {
    private static final long serialVersionUID = 1;

    private final int status;

    private Exit(int status) {
        super("exit " + status, null, false, false);
        this.status = status;
    }

    int status() {
        return status;
    }

    /** From now on {@code System.exit} throws. */
    @SuppressWarnings("removal")
    static void forbid() {
        System.setSecurityManager(new SecurityManager() {
            @Override
            public void checkExit(int status) {
                throw new Exit(status);
            }

            @Override
            public void checkPermission(Permission permission) {
                // Everything else is allowed.
            }

            @Override
            public void checkPermission(Permission permission, Object context) {
                // Everything else is allowed.
            }
        });
    }

    /** From now on {@code System.exit} exits. */
    @SuppressWarnings("removal")
    static void allow() {
        System.setSecurityManager(null);
    }
}
