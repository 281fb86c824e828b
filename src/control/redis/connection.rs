//! `Connection`: one connection to a Redis server, and the two scripts that it runs there.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisConnectionInfo, cmd};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::quotas::QuotaBatch;
use super::rates::{Draw, Level};
use super::settings::RedisSettings;
use crate::control::http_client;

/// Keys of one run of a script: the server does nothing else meanwhile.
const KEYS_OF_ONE: usize = 256;
/// How long a bucket that is full, and the marker of a batch, are kept.
const KEPT_MS: u32 = 60_000;
const MARKER_KEPT_S: u32 = 3600;

/// Buckets as the times at which they are full, by the server's clock: draws from each, and tells how far that is off and
/// how many tokens were asked for in all. The first number is the server's time in microseconds. What is told was drawn up
/// to an interval ago: a bucket that has been full for less than that has filled meanwhile.
const DRAW: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer = {now}
for i, key in ipairs(KEYS) do
  local cost, asked = tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2])
  local known = redis.call('HMGET', key, 'full', 'asked')
  local full = math.max(tonumber(known[1]) or 0, now - ARGV[2]) + cost
  local total = (tonumber(known[2]) or 0) + asked
  if cost > 0 or asked > 0 then
    redis.call('HSET', key, 'full', string.format('%.0f', full), 'asked', string.format('%.0f', total))
    redis.call('PEXPIRE', key, string.format('%.0f', math.max(full - now, 0) / 1000 + ARGV[1]))
  end
  answer[2 * i], answer[2 * i + 1] = full - now, total
end
return answer
";

/// Adds to counts, unless this batch has been added before, and tells what they are. The first key is that of the marker.
const COUNT: &str = r"
local again = redis.call('GET', KEYS[1]) == ARGV[1]
local answer = {}
for i = 2, #KEYS do
  local used = ARGV[2 * i - 1]
  if used ~= '0' and not again then
    answer[i - 1] = redis.call('INCRBY', KEYS[i], used)
    if answer[i - 1] == tonumber(used) then redis.call('EXPIRE', KEYS[i], ARGV[2 * i]) end
  else
    answer[i - 1] = tonumber(redis.call('GET', KEYS[i]) or '0')
  end
end
if not again then redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) end
return answer
";

/// Dropped, it is closed.
pub(super) struct Connection {
    redis: MultiplexedConnection,
    /// Moves its bytes.
    driver: JoinHandle<()>,
    draw: String,
    count: String,
    interval_us: u64,
}

/// What the server says, in the order of what was asked.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub unix_us: i64,
    pub rates: Vec<Level>,
    pub quotas: Vec<i64>,
}

/// Anything that bytes go through.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Connection {
    pub async fn open(settings: &RedisSettings, interval: Duration) -> Result<Connection, String> {
        let stream = dial(settings).await?;
        let mut info = RedisConnectionInfo::default().set_db(settings.database);
        if let Some(username) = &settings.username {
            info = info.set_username(username);
        }
        if let Some(password) = &settings.password {
            info = info.set_password(password);
        }
        // Times are bounded by who calls.
        let config =
            AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let opened = MultiplexedConnection::new_with_config(&info, stream, config).await;
        let (redis, driver) = opened.map_err(|error| error.to_string())?;
        let driver = tokio::spawn(driver);
        let mut connection = Connection {
            redis,
            driver,
            draw: String::new(),
            count: String::new(),
            interval_us: u64::try_from(interval.as_micros()).unwrap_or(u64::MAX),
        };
        if let Some(name) = &settings.client_name {
            connection.ask::<()>(cmd("CLIENT").arg("SETNAME").arg(name)).await?;
        }
        connection.draw = connection.ask(cmd("SCRIPT").arg("LOAD").arg(DRAW)).await?;
        connection.count = connection.ask(cmd("SCRIPT").arg("LOAD").arg(COUNT)).await?;
        Ok(connection)
    }

    /// Tells and asks all of it in one round trip.
    pub async fn exchange(
        &mut self,
        draws: &[Draw],
        batch: Option<&QuotaBatch>,
        marker_key: &str,
    ) -> Result<Answers, String> {
        let mut pipeline = Pipeline::new();
        // Also where there is nothing to tell: the time shows that the server is there.
        let draw_chunks = draws.chunks(KEYS_OF_ONE).len().max(1);
        let mut chunks = draws.chunks(KEYS_OF_ONE);
        for _ in 0..draw_chunks {
            pipeline.add_command(self.draw_command(chunks.next().unwrap_or_default()));
        }
        for (index, chunk) in count_chunks(batch).enumerate() {
            let Some(batch) = batch else { break };
            let mut command = cmd("EVALSHA");
            command.arg(&self.count).arg(chunk.len() + 1);
            command.arg(format!("{marker_key}:{index}"));
            for told in chunk {
                command.arg(told.key.as_slice());
            }
            command.arg(&batch.marker).arg(MARKER_KEPT_S);
            for told in chunk {
                command.arg(told.used()).arg(told.kept_s());
            }
            pipeline.add_command(command);
        }
        let said: Vec<Vec<i64>> =
            pipeline.query_async(&mut self.redis).await.map_err(|error| error.to_string())?;
        let (levels, counts) = said.split_at(draw_chunks.min(said.len()));
        let mut answers = Answers::default();
        for (said, asked) in levels.iter().zip(draws.chunks(KEYS_OF_ONE).chain([&[][..]])) {
            let Some((unix_us, levels)) = said.split_first() else {
                return Err("an answer without a time".to_owned());
            };
            answers.unix_us = *unix_us;
            let levels =
                levels.chunks_exact(2).map(|pair| Level { owed_us: pair[0], asked: pair[1] });
            answers.rates.extend(levels.take(asked.len()));
        }
        answers.quotas.extend(counts.iter().flatten());
        let counted = batch.map_or(0, |batch| batch.uses.len());
        if answers.rates.len() != draws.len() || answers.quotas.len() != counted {
            return Err("an answer of another length than was asked for".to_owned());
        }
        Ok(answers)
    }

    fn draw_command(&self, draws: &[Draw]) -> Cmd {
        let mut command = cmd("EVALSHA");
        command.arg(&self.draw).arg(draws.len());
        for draw in draws {
            command.arg(draw.key.as_slice());
        }
        command.arg(KEPT_MS).arg(self.interval_us);
        for draw in draws {
            command.arg(draw.cost_us).arg(draw.drawn.asked);
        }
        command
    }

    async fn ask<T: redis::FromRedisValue>(&mut self, command: &Cmd) -> Result<T, String> {
        command.query_async(&mut self.redis).await.map_err(|error| error.to_string())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn count_chunks(batch: Option<&QuotaBatch>) -> impl Iterator<Item = &[super::quotas::Use]> {
    batch.map(|batch| batch.uses.as_slice()).unwrap_or_default().chunks(KEYS_OF_ONE)
}

async fn dial(settings: &RedisSettings) -> Result<Box<dyn Stream>, String> {
    let RedisSettings { host, port, .. } = settings;
    let tcp = TcpStream::connect((host.as_str(), *port)).await;
    let tcp = tcp.map_err(|error| error.to_string())?;
    let _ = tcp.set_nodelay(true);
    let Some(trust) = &settings.tls else { return Ok(Box::new(tcp)) };
    let config = http_client::client_config(trust).map_err(|error| error.to_string())?;
    let name = ServerName::try_from(host.clone()).map_err(|error| error.to_string())?;
    let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
    Ok(Box::new(tls.map_err(|error| error.to_string())?))
}
