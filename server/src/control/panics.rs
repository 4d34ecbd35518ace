//! A thread of the program panics: that is the end of trust too. It says why and waits; the supervisor
//! sees it, lets the last answers go, leaves the name servers, and the process ends with exit code 70.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::error::exit_code;

/// The thread that takes the process down.
pub(super) const SUPERVISOR: &str = "supervisor";
/// After this long nobody is taking the process down: the thread that has panicked ends it.
const PATIENCE: Duration = Duration::from_secs(10);

static PANICKED: AtomicBool = AtomicBool::new(false);

/// For the program, which aborts on panics otherwise; call it first.
pub fn install() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        PANICKED.store(true, Ordering::Release);
        // The main thread starts the others and waits for the supervisor: both are what would end the
        // process.
        let alone = matches!(thread::current().name(), Some(SUPERVISOR | "main") | None);
        if !alone {
            thread::sleep(PATIENCE);
        }
        std::process::exit(i32::from(exit_code::FAIL_STOP));
    }));
}

/// Whether a thread of the program has panicked.
pub(super) fn has_any() -> bool {
    PANICKED.load(Ordering::Acquire)
}
