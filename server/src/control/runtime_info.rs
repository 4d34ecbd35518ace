//! What `mqadmin brokerStatus` and `clusterList` show (28): every key that Apache's brokers of 4.9 and
//! 5.5 have and that means something here. Tools read many of them as numbers, so none is left empty;
//! those about parts that do not exist (thread pools, timers) say that nothing waits there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use ringmq_engine::ShardStatus;
use ringmq_protocol::header::version;

use crate::limits;
use crate::metrics::{HistogramReading, Totals};
use crate::statistics::{StoreCounts, StoreRates};

const MINUTE_MS: i64 = 60_000;
const MS_NS: u64 = limits::MILLISECOND_NS;

/// What the table is made from.
pub(super) struct Figures<'a> {
    pub now_ms: i64,
    pub booted_ms: i64,
    pub totals: &'a Totals,
    /// Times of the sends of the last minute, from received to stored.
    pub times: HistogramReading,
    pub rates: &'a StoreRates,
    /// Messages that users stored and got since the start.
    pub user_totals: (u64, u64),
    pub shards: &'a [(u8, ShardStatus)],
    pub folder: Option<&'a Path>,
}

type Table = BTreeMap<String, String>;

/// See the module.
pub(super) fn runtime_info(figures: &Figures<'_>) -> Table {
    let mut table = Table::new();
    put_process(&mut table, figures);
    put_rates(&mut table, figures);
    put_times(&mut table, figures);
    put_log(&mut table, figures);
    put_queues(&mut table, figures);
    if let Some(folder) = figures.folder {
        put_disk(&mut table, folder);
    }
    table
}

fn put(table: &mut Table, key: &str, value: impl ToString) {
    table.insert(key.to_owned(), value.to_string());
}

fn put_process(table: &mut Table, figures: &Figures<'_>) {
    put(table, "bootTimestamp", figures.booted_ms);
    put(table, "brokerActive", true);
    put(table, "brokerVersion", version::V5_5_0);
    put(table, "brokerVersionDesc", "V5_5_0");
    put(table, "ringmqVersion", env!("CARGO_PKG_VERSION"));
    put(table, "ringmqShards", figures.shards.len());
    put(table, "ringmqTurns", sum(figures, |s| s.turns));
    put(table, "ringmqCommits", sum(figures, |s| s.blocks));
    put(table, "startAcceptSendRequestTimeStamp", 0);
    let seconds = (figures.now_ms - figures.booted_ms).max(0) / 1000;
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    let runtime = format!("[ {days} days, {hours} hours, {minutes} minutes, {seconds} seconds ]");
    put(table, "runtime", runtime);
    if let Some(kilobytes) = memory_kilobytes() {
        put(table, "totalMemKBytes", kilobytes);
    }
}

fn put_rates(table: &mut Table, figures: &Figures<'_>) {
    let rates = figures.rates;
    put(table, "putTps", rates.text(|c| c.put));
    put(table, "getFoundTps", rates.text(|c| c.found));
    put(table, "getMissTps", rates.text(|c| c.missed));
    put(table, "getTotalTps", rates.text(|c| c.found + c.missed));
    // The spelling of 4.9, and that of 5.
    let transferred = |c: &StoreCounts| c.transferred;
    put(table, "getTransferedTps", rates.text(transferred));
    put(table, "getTransferredTps", rates.text(transferred));
    let [yesterday, today] = rates.mornings();
    let (put_now, got_now) = figures.user_totals;
    put(table, "msgPutTotalYesterdayMorning", yesterday.0);
    put(table, "msgPutTotalTodayMorning", today.0);
    put(table, "msgPutTotalTodayNow", put_now);
    put(table, "msgGetTotalYesterdayMorning", yesterday.1);
    put(table, "msgGetTotalTodayMorning", today.1);
    put(table, "msgGetTotalTodayNow", got_now);
}

fn put_times(table: &mut Table, figures: &Figures<'_>) {
    let totals = figures.totals;
    let longest_ms = |times: &HistogramReading| times.quantile_ns(1.0).unwrap_or(0) / MS_NS;
    put(
        table,
        "putMessageEntireTimeMax",
        longest_ms(&totals.times.send),
    );
    put(
        table,
        "getMessageEntireTimeMax",
        longest_ms(&totals.times.pull_at_once),
    );
    put(table, "putMessageTimesTotal", totals.messages_in);
    put(table, "putMessageSizeTotal", totals.bytes_in);
    let average = totals.bytes_in as f64 / totals.messages_in.max(1) as f64;
    put(table, "putMessageAverageSize", format!("{average:?}"));
    let refused = |status: &ShardStatus| status.refused_busy + status.refused_full;
    put(table, "putMessageFailedTimes", sum(figures, refused));
    put(
        table,
        "putMessageDistributeTime",
        distribution(&figures.times),
    );
    for (key, quantile) in [("putLatency99", 0.99), ("putLatency999", 0.999)] {
        let ns = figures.times.quantile_ns(quantile).unwrap_or(0);
        put(table, key, format!("{:.2}", ns as f64 / MS_NS as f64));
    }
}

/// Offsets of several shards' logs are added up, so that their difference is what is stored and their
/// growth what is written; each shard's own follow.
fn put_log(table: &mut Table, figures: &Figures<'_>) {
    put(table, "commitLogMinOffset", sum(figures, |s| s.oldest));
    put(table, "commitLogMaxOffset", sum(figures, |s| s.visible));
    if figures.shards.len() > 1 {
        for (shard, status) in figures.shards {
            put(
                table,
                &format!("commitLogMinOffset_{shard:02}"),
                status.oldest,
            );
            put(
                table,
                &format!("commitLogMaxOffset_{shard:02}"),
                status.visible,
            );
        }
    }
    let behind = sum(figures, |s| s.appended.saturating_sub(s.durable));
    put(table, "remainHowManyDataToFlush", human_bytes(behind));
    put(table, "remainTransientStoreBufferNumbs", i32::MAX);
    let earliest = figures.shards.iter().filter_map(|(_, s)| s.oldest_store_ms);
    put(
        table,
        "earliestMessageTimeStamp",
        earliest.min().unwrap_or(-1),
    );
    // A record is in its queue's index when it is in the log, and no page cache has a lock.
    put(table, "dispatchBehindBytes", 0);
    put(table, "dispatchMaxBuffer", 0);
    put(table, "pageCacheLockTimeMills", 0);
}

/// There are no thread pools: what waits are sends for the disk and pulls for reads from it.
fn put_queues(table: &mut Table, figures: &Figures<'_>) {
    let shards = figures.shards.len();
    let sends = sum(figures, |s| u64::from(s.acks_waiting));
    let reads = sum(figures, |s| u64::from(s.cold_reads));
    let least = limits::FRAME_BYTES_MIN + limits::REQUEST_OVERHEAD_BYTES;
    let requests = limits::SHARD_IN_FLIGHT_BYTES_MAX / least * shards;
    let queues = [
        ("sendThreadPoolQueue", sends, requests),
        ("pullThreadPoolQueue", reads, requests),
        ("litePullThreadPoolQueue", 0, requests),
        ("queryThreadPoolQueue", 0, requests),
        ("ackThreadPoolQueue", 0, requests),
    ];
    for (name, waiting, capacity) in queues {
        put(table, &format!("{name}Size"), waiting);
        put(table, &format!("{name}Capacity"), capacity);
        put(table, &format!("{name}HeadWaitTimeMills"), 0);
    }
    let oldest = figures.shards.iter().filter_map(|(_, s)| s.oldest_ack_ns);
    let oldest_ms = oldest.max().unwrap_or(0) / MS_NS;
    put(table, "sendThreadPoolQueueHeadWaitTimeMills", oldest_ms);
    put(table, "EndTransactionQueueSize", 0);
    put(table, "EndTransactionThreadPoolQueueCapacity", requests);
    for key in ["timerReadBehind", "timerOffsetBehind", "timerCongestNum"] {
        put(table, key, 0);
    }
    put(table, "timerEnqueueTps", "0.0");
    put(table, "timerDequeueTps", "0.0");
}

fn put_disk(table: &mut Table, folder: &Path) {
    let Ok(space) = rustix::fs::statvfs(folder) else {
        return;
    };
    let (total, free) = (
        space.f_blocks * space.f_frsize,
        space.f_bfree * space.f_frsize,
    );
    let (total_text, free_text) = (human_bytes(total), human_bytes(free));
    let capacity = format!("Total : {total_text}, Free : {free_text}.");
    put(table, "commitLogDirCapacity", capacity);
    let used = total - free;
    let usable = space.f_bavail * space.f_frsize;
    let ratio = used as f64 / (used + usable).max(1) as f64;
    let ratio = format!("{ratio:.2}");
    let log = folder.display();
    put(table, &format!("commitLogDiskRatio_{log}"), &ratio);
    put(table, "commitLogDiskRatio", &ratio);
    put(table, "consumeQueueDiskRatio", &ratio);
}

fn sum(figures: &Figures<'_>, of: impl Fn(&ShardStatus) -> u64) -> u64 {
    figures.shards.iter().map(|(_, status)| of(status)).sum()
}

/// As `MixAll.humanReadableByteCount` with steps of 1024.
fn human_bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = None;
    for prefix in ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = Some(prefix);
    }
    match unit {
        None => format!("{bytes} B"),
        Some(prefix) => format!("{value:.1} {prefix}B"),
    }
}

/// How many sends took how long, in Apache's words.
fn distribution(times: &HistogramReading) -> String {
    const BOUNDS: [(&str, u64); 12] = [
        ("[<=0ms]", 1),
        ("[0~10ms]", 10),
        ("[10~50ms]", 50),
        ("[50~100ms]", 100),
        ("[100~200ms]", 200),
        ("[200~500ms]", 500),
        ("[500ms~1s]", 1000),
        ("[1~2s]", 2000),
        ("[2~3s]", 3000),
        ("[3~4s]", 4000),
        ("[4~5s]", 5000),
        ("[5~10s]", 10_000),
    ];
    let (mut text, mut told) = (String::new(), 0);
    for (name, below_ms) in BOUNDS {
        let below = times.count_below_ns(below_ms * MS_NS);
        let _ = write!(text, "{name}:{} ", below - told);
        told = below;
    }
    let _ = write!(text, "[10s~]:{} ", times.count() - told);
    text
}

/// Physical memory of the machine.
fn memory_kilobytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Times of the sends of the last whole minute.
#[derive(Debug, Default)]
pub(super) struct MinuteTimes {
    /// When the present minute began, and the counts then and a minute before.
    began: Option<(i64, HistogramReading, HistogramReading)>,
}

impl MinuteTimes {
    /// Notes the counts since the start; once a second is enough.
    pub fn note(&mut self, times: &HistogramReading, now_ms: i64) {
        match &mut self.began {
            None => self.began = Some((now_ms, times.clone(), times.clone())),
            Some((at, began, before)) if !(0..MINUTE_MS).contains(&(now_ms - *at)) => {
                *before = std::mem::replace(began, times.clone());
                *at = now_ms;
            }
            Some(_) => {}
        }
    }

    /// What was counted in the last whole minute and since.
    pub fn last_minute(&self, times: &HistogramReading) -> HistogramReading {
        match &self.began {
            Some((_, _, before)) => times.since(before),
            None => times.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(shards: &[(u8, ShardStatus)], folder: Option<&Path>) -> Table {
        let totals = Totals {
            messages_in: 4,
            bytes_in: 1000,
            ..Totals::default()
        };
        let mut rates = StoreRates::default();
        rates.sample(StoreCounts::default(), 0);
        runtime_info(&Figures {
            now_ms: 90_061_000,
            booted_ms: 0,
            totals: &totals,
            times: HistogramReading::default(),
            rates: &rates,
            user_totals: (3, 2),
            shards,
            folder,
        })
    }

    fn shard(number: u8) -> (u8, ShardStatus) {
        let status = ShardStatus {
            oldest: 100,
            visible: 4000,
            appended: 6048,
            durable: 4000,
            oldest_store_ms: Some(77 + i64::from(number)),
            ..ShardStatus::default()
        };
        (number, status)
    }

    #[test]
    fn figures_of_the_shards_are_added_and_told_one_by_one() {
        let table = table(&[shard(0), shard(1)], None);
        assert_eq!(table["commitLogMaxOffset"], "8000");
        assert_eq!(table["commitLogMinOffset"], "200");
        assert_eq!(table["commitLogMaxOffset_01"], "4000");
        assert_eq!(table["remainHowManyDataToFlush"], "4.0 KiB");
        assert_eq!(table["earliestMessageTimeStamp"], "77");
        assert_eq!(
            table["runtime"],
            "[ 1 days, 1 hours, 1 minutes, 1 seconds ]"
        );
        assert_eq!(table["putMessageAverageSize"], "250.0");
        assert_eq!(table["msgPutTotalTodayNow"], "3");
        assert_eq!(table["putTps"], "0.0 0.0 0.0");
    }

    #[test]
    fn every_key_of_apaches_brokers_is_there_but_those_of_single_delay_levels() {
        const KEYS: &str = "EndTransactionQueueSize EndTransactionThreadPoolQueueCapacity \
            ackThreadPoolQueueCapacity ackThreadPoolQueueHeadWaitTimeMills ackThreadPoolQueueSize \
            bootTimestamp brokerActive brokerVersion brokerVersionDesc commitLogDirCapacity \
            commitLogDiskRatio commitLogMaxOffset commitLogMinOffset consumeQueueDiskRatio \
            dispatchBehindBytes dispatchMaxBuffer earliestMessageTimeStamp getFoundTps \
            getMessageEntireTimeMax getMissTps getTotalTps getTransferedTps getTransferredTps \
            litePullThreadPoolQueueCapacity litePullThreadPoolQueueHeadWaitTimeMills \
            litePullThreadPoolQueueSize msgGetTotalTodayMorning msgGetTotalTodayNow \
            msgGetTotalYesterdayMorning msgPutTotalTodayMorning msgPutTotalTodayNow \
            msgPutTotalYesterdayMorning pageCacheLockTimeMills pullThreadPoolQueueCapacity \
            pullThreadPoolQueueHeadWaitTimeMills pullThreadPoolQueueSize putLatency99 putLatency999 \
            putMessageAverageSize putMessageDistributeTime putMessageEntireTimeMax \
            putMessageFailedTimes putMessageSizeTotal putMessageTimesTotal putTps \
            queryThreadPoolQueueCapacity queryThreadPoolQueueHeadWaitTimeMills \
            queryThreadPoolQueueSize remainHowManyDataToFlush remainTransientStoreBufferNumbs runtime \
            sendThreadPoolQueueCapacity sendThreadPoolQueueHeadWaitTimeMills sendThreadPoolQueueSize \
            startAcceptSendRequestTimeStamp timerCongestNum timerDequeueTps timerEnqueueTps \
            timerOffsetBehind timerReadBehind";
        let folder = tempfile::tempdir().unwrap();
        let table = table(&[shard(0)], Some(folder.path()));
        for key in KEYS.split_whitespace() {
            let value = table.get(key).unwrap_or_else(|| panic!("{key} is missing"));
            assert!(!value.is_empty(), "{key}");
        }
        let capacity = &table["commitLogDirCapacity"];
        assert!(
            capacity.starts_with("Total : ") && capacity.ends_with("iB."),
            "{capacity}"
        );
        let of_folder = format!("commitLogDiskRatio_{}", folder.path().display());
        let ratio: f64 = table[&of_folder].parse().unwrap();
        assert!((0.0..=1.0).contains(&ratio));
    }

    #[test]
    fn bytes_are_written_as_java_writes_them() {
        assert_eq!(human_bytes(0), "0 B");
        assert_eq!(human_bytes(1023), "1023 B");
        assert_eq!(human_bytes(1536), "1.5 KiB");
        assert_eq!(human_bytes(252 << 30), "252.0 GiB");
    }

    #[test]
    fn sends_are_told_by_how_long_they_took() {
        let histogram = crate::metrics::Histogram::default();
        histogram.record(100_000, 5);
        histogram.record(3 * MS_NS, 2);
        histogram.record(30_000 * MS_NS, 1);
        let mut reading = HistogramReading::default();
        histogram.read_into(&mut reading);
        let text = distribution(&reading);
        assert!(
            text.starts_with("[<=0ms]:5 [0~10ms]:2 [10~50ms]:0 "),
            "{text}"
        );
        assert!(text.ends_with("[5~10s]:0 [10s~]:1 "), "{text}");
    }

    #[test]
    fn the_last_minute_forgets_what_was_before_it() {
        let histogram = crate::metrics::Histogram::default();
        let read = |histogram: &crate::metrics::Histogram| {
            let mut reading = HistogramReading::default();
            histogram.read_into(&mut reading);
            reading
        };
        let mut times = MinuteTimes::default();
        times.note(&read(&histogram), 0);
        histogram.record(MS_NS, 5);
        times.note(&read(&histogram), 59_000);
        assert_eq!(times.last_minute(&read(&histogram)).count(), 5);
        times.note(&read(&histogram), 60_000);
        assert_eq!(times.last_minute(&read(&histogram)).count(), 5);
        histogram.record(MS_NS, 1);
        times.note(&read(&histogram), 120_000);
        assert_eq!(times.last_minute(&read(&histogram)).count(), 1);
    }
}
