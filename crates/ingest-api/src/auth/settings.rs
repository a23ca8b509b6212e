//! How callers are told apart and held off.

use std::time::Duration;

use super::AddressRange;

const REFUSED_PER_MINUTE: u32 = 300;

/// Who is believed about addresses, and how many wrong keys are looked at.
#[derive(Debug, Clone, clap::Args)]
pub struct Doors {
    /// A reverse proxy, or a network of them, whose X-Forwarded-For is believed; several, separated by commas.
    #[arg(
        long = "trusted-proxies",
        env = "CADASTRE_TRUSTED_PROXIES",
        value_name = "ADDRESSES",
        value_delimiter = ','
    )]
    pub trusted_proxies: Vec<AddressRange>,
    /// Refused keys a minute from one address, after which it is asked to wait.
    #[arg(long, env = "CADASTRE_REFUSED_KEYS_PER_MINUTE", value_name = "NUMBER", default_value_t = REFUSED_PER_MINUTE, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub refused_keys_per_minute: u32,
    /// How often the use of keys is written.
    #[arg(skip = Duration::from_secs(60))]
    pub write_uses_every: Duration,
}

impl Default for Doors {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            refused_keys_per_minute: REFUSED_PER_MINUTE,
            write_uses_every: Duration::from_secs(60),
        }
    }
}
