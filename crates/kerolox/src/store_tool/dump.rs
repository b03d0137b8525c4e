//! `kerolox store dump`: the records of a log as lines or JSON. It reads what is there, also beside a running broker.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};

use base64ct::{Base64, Encoding};
use kerolox_store::disk::RealDisk;
use kerolox_store::inspect::{Findings, Item, Kind, LogFiles, Walk};
use kerolox_wire::compress::inflate;
use kerolox_wire::properties;
use kerolox_wire::record::Record;
use kerolox_wire::sys_flag::{COMPRESSED, COMPRESSION_MASK, COMPRESSION_ZLIB};
use serde_json::{Map, Value, json};

use super::{DumpArgs, FOUND, Failure, Output};
use crate::logging::escaped;

/// Bytes that an inflated body may have.
const BODY_MAX: usize = 256 << 20;

/// Prints the records.
pub(super) fn run(args: &DumpArgs) -> Result<u8, Failure> {
    let dir = args.place.directory()?;
    let mut findings = Findings::default();
    let log = LogFiles::find(&RealDisk, &dir.commit_log, &mut findings).map_err(Failure::io(&dir.commit_log))?;
    if log.files().is_empty() {
        return Err(Failure::Refused(format!("{} has no log files", dir.commit_log.display())));
    }
    if args.from.is_some_and(|from| log.files().last().is_some_and(|last| from >= last.end())) {
        let last = log.files().last().map_or(0, |file| file.end());
        let why = format!("--from must be an offset from {} to {last}", log.begin());
        return Err(Failure::Refused(why));
    }
    let gaps = findings.of(Kind::LogFileGap).chain(findings.of(Kind::LogFileSize));
    for finding in gaps {
        warn(&format!("{}: {}", finding.path.display(), finding.why));
    }
    let mut out = BufWriter::new(io::stdout().lock());
    match print(args, &log, &mut out).and_then(|damaged| out.flush().map(|()| damaged)) {
        Ok(damaged) => Ok(if damaged { FOUND } else { 0 }),
        // The reader has seen enough.
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        Err(source) => Err(Failure::Io { path: "standard output".into(), source }),
    }
}

/// Prints what the arguments ask for; whether something was passed over.
fn print(args: &DumpArgs, log: &LogFiles<'_>, out: &mut impl Write) -> io::Result<bool> {
    let begin = args.from.unwrap_or(log.begin());
    let mut walk = Walk::new(log, begin);
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut blanks = Vec::new();
    let mut damaged = false;
    while left > 0 {
        let Some(item) = walk.next_item() else { break };
        match item {
            Item::Record(record) => {
                damaged |= !blanks.is_empty();
                blanks.drain(..).for_each(|why: String| warn(&why));
                if is_asked_for(args, &record) {
                    let line = match args.output {
                        Output::Text => line(&record, args.body),
                        Output::Json => object(&record, args.body).to_string(),
                    };
                    writeln!(out, "{line}")?;
                    left -= 1;
                }
            }
            Item::Odd { at, len, why } | Item::Unreadable { at, len, why } => {
                warn(&format!("{len} bytes at {at} are passed over: {why}"));
                damaged = true;
            }
            // The zeros behind the end are no loss, nor is the part of a record that --from points into.
            Item::Stretch { at, .. } if at == begin && args.from.is_some() => {}
            Item::Stretch { at, len, why, blank } => {
                let why = format!("{len} bytes at {at} are passed over: {why}");
                if blank {
                    blanks.push(why);
                } else {
                    warn(&why);
                    damaged = true;
                }
            }
        }
    }
    Ok(damaged)
}

fn is_asked_for(args: &DumpArgs, record: &Record<'_>) -> bool {
    args.topic.as_ref().is_none_or(|topic| topic == record.topic())
        && args.queue.is_none_or(|queue| queue == record.queue_id().get())
}

fn warn(text: &str) {
    let _ = writeln!(io::stderr(), "{}", escaped(text));
}

/// Every field of a record's header, in the order of the format.
fn fields(record: &Record<'_>) -> Vec<(&'static str, Value)> {
    vec![
        ("logOffset", record.log_offset().get().into()),
        ("size", record.total_size().into()),
        ("bodyCrc", record.body_crc().into()),
        ("topic", record.topic().into()),
        ("queueId", record.queue_id().get().into()),
        ("queueOffset", record.queue_offset().get().into()),
        ("flag", record.flag().into()),
        ("sysFlag", record.sys_flag().into()),
        ("bornTimestamp", record.born_timestamp().into()),
        ("bornHost", record.born_host().to_string().into()),
        ("storeTimestamp", record.store_timestamp().into()),
        ("storeHost", record.store_host().to_string().into()),
        ("reconsumeTimes", record.reconsume_times().into()),
        ("preparedTransactionOffset", record.prepared_transaction_offset().into()),
        ("bodySize", record.body().len().into()),
    ]
}

fn line(record: &Record<'_>, with_body: bool) -> String {
    let mut line = String::new();
    for (name, value) in fields(record) {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _ = write!(line, "{name}={shown} ");
    }
    let pairs: Map<String, Value> =
        properties::pairs(record.properties()).map(|(name, value)| (name.to_owned(), value.into())).collect();
    let _ = write!(line, "properties={}", Value::Object(pairs));
    if with_body {
        let body = body(record);
        let shown = String::from_utf8(body).unwrap_or_else(|why| Base64::encode_string(why.as_bytes()));
        let _ = write!(line, " body={shown}");
    }
    escaped(&line)
}

fn object(record: &Record<'_>, with_body: bool) -> Value {
    let mut object: Map<String, Value> =
        fields(record).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let pairs = properties::pairs(record.properties()).map(|(name, value)| (name.to_owned(), value.into()));
    object.insert("properties".into(), Value::Object(pairs.collect()));
    if with_body {
        let (name, text) = match String::from_utf8(body(record)) {
            Ok(text) => ("body", text),
            Err(why) => ("bodyBase64", Base64::encode_string(why.as_bytes())),
        };
        object.insert(name.into(), json!(text));
    }
    Value::Object(object)
}

/// The body, inflated when it is zlib; as it is stored when that fails.
fn body(record: &Record<'_>) -> Vec<u8> {
    let flag = record.sys_flag();
    let zlib = flag & COMPRESSED != 0 && matches!(flag & COMPRESSION_MASK, 0 | COMPRESSION_ZLIB);
    let inflated = zlib.then(|| inflate(record.body(), BODY_MAX).ok()).flatten();
    inflated.unwrap_or_else(|| record.body().to_vec())
}
