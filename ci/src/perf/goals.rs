//! What the figures are meant to reach, and whether they do: printed beside them, never a failure, because
//! a machine that does other things meanwhile decides too.

use super::{Figures, Kind, SHAPES, median};
use crate::process::say;

/// Of the null broker's rate.
const OF_NULL: f64 = 0.70;
/// Of the null broker's rate, where a multiple of Apache's is beyond what the machine does.
const OF_NULL_INSTEAD: f64 = 0.85;
/// Multiples of Apache's rate by shape, SYNC_FLUSH and ASYNC_FLUSH.
const OF_APACHE: [(Kind, [f64; 3]); 2] = [
    (Kind::ApacheSync, [2.5, 2.5, 7.0]),
    (Kind::ApacheAsync, [0.8, 1.8, 6.0]),
];
/// Of Apache's p99.9.
const TAIL_OF_APACHE: f64 = 0.2;
/// Of the null broker's turns for each commit.
const TURNS_OF_NULL: f64 = 1.3;
/// Turns for each commit of the engine alone, which sleeps while it waits.
const ENGINE_TURNS: f64 = 1.1;
/// Messages a second from the hot tail of one shard.
const PULLS: f64 = 1_000_000.0;

/// Prints every goal with its figure.
pub(super) fn report(kinds: &[Kind], figures: &Figures) {
    for (shape, (connections, in_flight)) in SHAPES.iter().enumerate() {
        say(&format!("goals at {connections} x {in_flight}"));
        of_null(figures, shape);
        for (kind, goals) in OF_APACHE {
            if kinds.contains(&kind) {
                of_apache(figures, kind, shape, goals[shape]);
            }
        }
    }
    say("goals of the whole");
    let engine = median(Some(&figures.engine_turns[0]));
    line(
        "turns for each commit, engine alone",
        engine,
        Goal::AtMost(ENGINE_TURNS),
    );
    let pulls = median(Some(&figures.pulls));
    line("messages pulled a second", pulls, Goal::AtLeast(PULLS));
}

fn of_null(figures: &Figures, shape: usize) {
    let ratio = |of: fn(&Figures, Kind, usize) -> f64| {
        of(figures, Kind::RingmqSync, shape) / of(figures, Kind::Null, shape)
    };
    let rate = ratio(Figures::rate);
    line("rate / null broker", rate, Goal::AtLeast(OF_NULL));
    let turns = ratio(Figures::turns);
    line(
        "turns for each commit / null broker",
        turns,
        Goal::AtMost(TURNS_OF_NULL),
    );
}

fn of_apache(figures: &Figures, kind: Kind, shape: usize, goal: f64) {
    let ours = Kind::RingmqSync;
    let instead = OF_NULL_INSTEAD * figures.rate(Kind::Null, shape);
    let apache = figures.rate(kind, shape);
    let goal = goal.min(instead / apache);
    let ratio = figures.rate(ours, shape) / apache;
    line(&format!("rate / {kind}"), ratio, Goal::AtLeast(goal));
    let tail = figures.tail(ours, shape) / figures.tail(kind, shape);
    line(
        &format!("p99.9 / {kind}"),
        tail,
        Goal::AtMost(TAIL_OF_APACHE),
    );
}

enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

fn line(what: &str, figure: f64, goal: Goal) {
    let (met, text) = match goal {
        Goal::AtLeast(least) => (figure >= least, format!("at least {least:.2}")),
        Goal::AtMost(most) => (figure <= most, format!("at most {most:.2}")),
    };
    let verdict = if met { "reached" } else { "MISSED" };
    say(&format!(
        "  {what:<40} {figure:>10.2}  {text:<20} {verdict}"
    ));
}
