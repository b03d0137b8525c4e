//! A bare name server to try things with: `namesrv PORT [DIRECTORY]`, ends with Ctrl-C.
#![allow(clippy::print_stdout, reason = "a program for people")]

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kerolox_namesrv::{NamesrvConfig, start};
use kerolox_net::{ListenConfig, ServerTls, TlsMode};
use kerolox_wire::clock::Clock;

struct SystemClock(Instant);

#[allow(clippy::disallowed_methods, reason = "here the time comes from")]
impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let mut args = std::env::args().skip(1);
    let port: u16 = args.next().ok_or("usage: namesrv PORT [DIRECTORY]")?.parse()?;
    let folder = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let mut listen = ListenConfig::new(([127, 0, 0, 1], port).into());
    listen.tls = TlsMode::Permissive(ServerTls::self_made()?);
    #[allow(clippy::disallowed_methods, reason = "here the time comes from")]
    let clock = Arc::new(SystemClock(Instant::now()));
    let handle = start(NamesrvConfig::new(listen, folder.join("kvConfig.json")), clock)?;
    println!("name server on {}", handle.local_addr());
    tokio::signal::ctrl_c().await?;
    println!("{:?}", handle.counters().snapshot());
    handle.shutdown().await;
    Ok(())
}
