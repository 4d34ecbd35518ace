//! The status page: one document of plain HTML, nothing fetched from anywhere.

use std::fmt::{self, Display, Write as _};
use std::time::Duration;

use super::glance::{Disk, Glance, GroupRow, TopicRow};
use crate::metrics::HistogramReading;

/// Rows that a table shows.
const ROWS_MAX: usize = 200;

/// The page of a reading; it asks for itself again every ten seconds.
pub(super) fn page(glance: &Glance) -> String {
    let mut out = String::with_capacity(32 * 1024);
    // Writing into a string does not fail.
    let _ = write(&mut out, glance);
    out
}

fn write(out: &mut String, glance: &Glance) -> fmt::Result {
    let facts = &glance.facts;
    let title = Escaped(&facts.node);
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"refresh\" content=\"10\"><link rel=\"icon\" href=\"data:,\"><title>{title} · RingMQ</title><style>{}</style></head><body><main>",
        include_str!("page.css")
    )?;
    header(out, glance)?;
    cards(out, glance)?;
    if facts.is_broker {
        stages(out, glance)?;
        topics(out, glance)?;
        groups(out, glance)?;
        shards(out, glance)?;
    }
    writeln!(
        out,
        "<footer>RingMQ {} · <a href=\"/metrics\">metrics</a> · <a href=\"/health/live\">live</a> · <a href=\"/health/ready\">ready</a> · rates and percentiles are of the last ten to twenty seconds</footer></main></body></html>",
        env!("CARGO_PKG_VERSION")
    )
}

fn header(out: &mut String, glance: &Glance) -> fmt::Result {
    let facts = &glance.facts;
    write!(out, "<header><h1>{}</h1>", Escaped(&facts.node))?;
    match &glance.readiness {
        Ok(()) => write!(out, "<span class=\"badge\">ready</span>")?,
        Err(reason) => write!(
            out,
            "<span class=\"badge bad\">not ready</span><span class=\"bad\">{}</span>",
            Escaped(reason)
        )?,
    }
    let kind = if facts.is_broker {
        "broker"
    } else {
        "name server"
    };
    write!(
        out,
        "<span class=\"dim\">{kind} at {}",
        Escaped(&facts.address)
    )?;
    if facts.is_broker {
        write!(
            out,
            " · cluster {} · {}",
            Escaped(&facts.cluster),
            facts.flush_mode
        )?;
    }
    write!(out, " · up {}</span></header>", Span(glance.uptime))
}

fn card(out: &mut String, label: &str, value: impl Display, note: impl Display) -> fmt::Result {
    write!(
        out,
        "<div class=\"card\"><span>{label}</span><b>{value}</b><span>{note}</span></div>"
    )
}

fn cards(out: &mut String, glance: &Glance) -> fmt::Result {
    let (rates, totals) = (&glance.rates, &glance.totals);
    write!(out, "<div class=\"cards\">")?;
    if glance.facts.is_broker {
        let note = format!("{} · {}", Rate(rates.bytes_in), Count(totals.messages_in));
        card(out, "stored /s", PerSecond(rates.messages_in), note)?;
        let note = format!("{} · {}", Rate(rates.bytes_out), Count(totals.messages_out));
        card(out, "delivered /s", PerSecond(rates.messages_out), note)?;
        let send = &glance.recent.times.send;
        let note = format!("p50 {}", Quantile(send, 0.5));
        card(out, "send p99", Quantile(send, 0.99), note)?;
        let lag: u64 = glance
            .groups
            .iter()
            .filter_map(|row| row.backlog)
            .map(|b| b.lag)
            .sum();
        let note = format!(
            "groups {} · topics {}",
            glance.group_count,
            glance.topics.len()
        );
        card(out, "not consumed", Count(lag), note)?;
    }
    if let Some(names) = glance.shards.iter().find_map(|shard| shard.names) {
        let note = format!(
            "clusters {} · topics {}",
            names.clusters,
            Count(names.topics as u64)
        );
        card(out, "brokers registered", names.brokers, note)?;
    }
    let connections: usize = glance.shards.iter().map(|shard| shard.connections).sum();
    let note = format!("opened {}", Count(totals.connections_opened));
    card(out, "connections", connections, note)?;
    if let Some(disk) = glance.disk {
        disk_card(out, glance, disk)?;
    }
    write!(out, "</div>")
}

fn disk_card(out: &mut String, glance: &Glance, disk: Disk) -> fmt::Result {
    let used = disk.bytes.saturating_sub(disk.free);
    let percent = used * 100 / disk.bytes.max(1);
    let class = match percent {
        0..75 => "",
        75..90 => " class=\"warn\"",
        _ => " class=\"bad\"",
    };
    write!(
        out,
        "<div class=\"card\"><span>disk in use</span><b{class}>{percent} %</b><span>{} free · log {}</span><div class=\"bar\"><i style=\"width:{percent}%\"></i></div></div>",
        Bytes(disk.free),
        Bytes(glance.log_bytes())
    )
}

fn stages(out: &mut String, glance: &Glance) -> fmt::Result {
    let times = &glance.recent.times;
    write!(
        out,
        "<section><h2>Times</h2><table><tr><th>stage</th><th class=\"l\">from, to</th><th>p50</th><th>p99</th><th>p99.9</th><th>count</th></tr>"
    )?;
    let rows: [(&str, &str, &HistogramReading); 6] = [
        (
            "append",
            "a send is received → has its place in the log",
            &times.append,
        ),
        (
            "store",
            "→ is stored as promised (written; durable with SYNC_FLUSH)",
            &times.store,
        ),
        (
            "reply",
            "→ its answer is in the kernel's hands",
            &times.reply,
        ),
        ("send, in all", "received → stored", &times.send),
        ("pull at once", "answered from memory", &times.pull_at_once),
        (
            "pull that waits",
            "for the disk, or for a message to come",
            &times.pull_waited,
        ),
    ];
    for (stage, meaning, reading) in rows {
        write!(
            out,
            "<tr><td>{stage}</td><td class=\"l dim\">{meaning}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            Quantile(reading, 0.5),
            Quantile(reading, 0.99),
            Quantile(reading, 0.999),
            Count(reading.count())
        )?;
    }
    write!(out, "</table></section>")
}

fn topics(out: &mut String, glance: &Glance) -> fmt::Result {
    let is_idle = |row: &TopicRow| row.sum.messages == 0 && row.messages == 0;
    let is_own = |row: &TopicRow| row.is_system || row.is_retry;
    let (idle, mut rows): (Vec<&TopicRow>, Vec<&TopicRow>) = glance
        .topics
        .iter()
        .partition(|row| is_own(row) && is_idle(row));
    let weight = |row: &TopicRow| (row.rate.to_bits(), row.sum.messages, row.messages);
    rows.sort_by_key(|row| (is_own(row), std::cmp::Reverse(weight(row))));
    write!(
        out,
        "<section><h2>Topics <span class=\"dim\">{}, of them {} of the system without messages, not shown</span></h2><table><tr><th>topic</th><th>stored /s</th><th>bytes /s</th><th>stored since start</th><th>messages kept</th><th>queues</th><th>access</th></tr>",
        glance.topics.len(),
        idle.len()
    )?;
    for row in rows.iter().take(ROWS_MAX) {
        let class = if is_own(row) { " class=\"dim\"" } else { "" };
        write!(
            out,
            "<tr{class}><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            Escaped(&row.name),
            PerSecond(row.rate),
            Rate(row.bytes_rate),
            Count(row.sum.messages),
            Count(row.messages),
            row.queues,
            row.permission
        )?;
    }
    end_of_rows(out, rows.len())
}

fn groups(out: &mut String, glance: &Glance) -> fmt::Result {
    let mut rows: Vec<&GroupRow> = glance.groups.iter().collect();
    let lag = |row: &GroupRow| row.backlog.map_or(0, |backlog| backlog.lag);
    rows.sort_by_key(|row| std::cmp::Reverse((lag(row), row.rate.to_bits())));
    write!(
        out,
        "<section><h2>Consumer groups <span class=\"dim\">{}, {} pairs of group and topic</span></h2><table><tr><th>group</th><th class=\"l\">topic</th><th>lag</th><th>delivered /s</th><th>delivered since start</th><th>sent back</th><th>members</th></tr>",
        glance.group_count,
        rows.len()
    )?;
    for row in rows.iter().take(ROWS_MAX) {
        let (online, class) = if row.is_online {
            ("online", "good")
        } else {
            ("none", "dim")
        };
        write!(
            out,
            "<tr><td>{}</td><td class=\"l\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"{class}\">{online}</td></tr>",
            Escaped(&row.group),
            Escaped(&row.topic),
            row.backlog
                .map_or_else(|| "–".to_owned(), |backlog| Count(backlog.lag).to_string()),
            PerSecond(row.rate),
            Count(row.sum.messages),
            Count(row.sum.send_backs)
        )?;
    }
    end_of_rows(out, rows.len())
}

fn end_of_rows(out: &mut String, count: usize) -> fmt::Result {
    write!(out, "</table>")?;
    match count.checked_sub(ROWS_MAX) {
        Some(more) if more > 0 => write!(out, "<p class=\"dim\">and {more} more</p>")?,
        _ if count == 0 => write!(out, "<p class=\"dim\">none</p>")?,
        _ => {}
    }
    write!(out, "</section>")
}

fn shards(out: &mut String, glance: &Glance) -> fmt::Result {
    write!(
        out,
        "<section><h2>Shards</h2><table><tr><th>shard</th><th>log written to</th><th>not durable</th><th>commits</th><th>records per commit</th><th>segments</th><th>ahead</th><th>queues</th><th>block memory</th><th>connections</th><th>in flight</th><th class=\"l\">state</th></tr>"
    )?;
    for (index, shard) in glance.shards.iter().enumerate() {
        let Some(engine) = shard.engine else {
            continue;
        };
        let state = match engine.refusing {
            None => "<span class=\"good\">takes sends</span>".to_owned(),
            Some(reason) => format!(
                "<span class=\"bad\">{}</span>",
                Escaped(&reason.to_string())
            ),
        };
        write!(
            out,
            "<tr><td>{index}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.1}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"l\">{state}</td></tr>",
            Bytes(engine.written),
            Bytes(engine.appended.saturating_sub(engine.durable)),
            Count(engine.blocks),
            engine.records as f64 / engine.blocks.max(1) as f64,
            engine.segments,
            engine.segments_ahead,
            Count(engine.queues.into()),
            Bytes(engine.block_memory),
            shard.connections,
            Bytes(shard.in_flight_bytes as u64),
        )?;
    }
    write!(out, "</table></section>")
}

/// Text that may hold anything.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '<' => out.write_str("&lt;")?,
                '>' => out.write_str("&gt;")?,
                '&' => out.write_str("&amp;")?,
                '"' => out.write_str("&quot;")?,
                other => out.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A number with its thousands apart.
struct Count(u64);

impl Display for Count {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                out.write_char('\u{202f}')?;
            }
            out.write_char(digit)?;
        }
        Ok(())
    }
}

/// Events a second; few of them with a decimal.
struct PerSecond(f64);

impl Display for PerSecond {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 0.0 && self.0 < 10.0 {
            write!(out, "{:.1}", self.0)
        } else {
            Count(self.0.round() as u64).fmt(out)
        }
    }
}

/// Bytes in the unit that suits them.
struct Bytes(u64);

impl Display for Bytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0 as f64;
        let mut unit = 0;
        const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        while value >= 1024.0 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        let decimals = usize::from(unit > 0 && value < 100.0);
        write!(out, "{value:.decimals$} {}", UNITS[unit])
    }
}

/// Bytes a second.
struct Rate(f64);

impl Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/s", Bytes(self.0.round() as u64))
    }
}

/// A quantile of durations; a dash when there are none.
struct Quantile<'a>(&'a HistogramReading, f64);

impl Display for Quantile<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.quantile_ns(self.1) {
            None => out.write_str("–"),
            // The bucket of the shortest durations.
            Some(ns) if ns < 2_000 => out.write_str("&lt; 2 µs"),
            Some(ns) if ns < 1_000_000 => write!(out, "{} µs", ns / 1000),
            Some(ns) if ns < 1_000_000_000 => write!(out, "{:.1} ms", ns as f64 / 1e6),
            Some(ns) => write!(out, "{:.1} s", ns as f64 / 1e9),
        }
    }
}

/// A time span in its two largest units.
struct Span(Duration);

impl Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0..60 => write!(out, "{seconds} s"),
            60..3600 => write!(out, "{} min {} s", seconds / 60, seconds % 60),
            3600..86_400 => write!(out, "{} h {} min", seconds / 3600, seconds / 60 % 60),
            _ => write!(out, "{} d {} h", seconds / 86_400, seconds / 3600 % 24),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_as_people_read_them() {
        assert_eq!(Count(1_234_567).to_string(), "1\u{202f}234\u{202f}567");
        assert_eq!(Count(999).to_string(), "999");
        assert_eq!(Bytes(1023).to_string(), "1023 B");
        assert_eq!(Bytes(5 << 30).to_string(), "5.0 GiB");
        assert_eq!(PerSecond(0.25).to_string(), "0.2");
        assert_eq!(Span(Duration::from_secs(90_061)).to_string(), "1 d 1 h");
    }

    #[test]
    fn a_name_cannot_become_markup() {
        let text = Escaped("<script>\"&").to_string();
        assert_eq!(text, "&lt;script&gt;&quot;&amp;");
    }
}
