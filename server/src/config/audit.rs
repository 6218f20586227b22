//! The settings of the audit log.

use super::Reader;
use super::Setting;
use super::plain;
use super::secret;
use std::time::Duration;
use switchback_control::SealingSettings;
use switchback_domain::checkpoint::SealingKey;

pub(super) const KEY: Setting = secret("SWITCHBACK_AUDIT_KEY", "audit.key");
pub(super) const CHECKPOINT_ENTRIES: Setting = plain(
    "SWITCHBACK_AUDIT_CHECKPOINT_ENTRIES",
    "audit.checkpoint_entries",
);
pub(super) const CHECKPOINT_MINUTES: Setting = plain(
    "SWITCHBACK_AUDIT_CHECKPOINT_MINUTES",
    "audit.checkpoint_minutes",
);
pub(super) const KEEP_DAYS: Setting = plain("SWITCHBACK_AUDIT_KEEP_DAYS", "audit.keep_days");

/// Days are given, and counted in seconds.
const DAY_SECONDS: u64 = 24 * 60 * 60;

/// How the audit log is sealed and kept.
#[derive(Clone, Debug)]
pub struct Audit {
    /// `SWITCHBACK_AUDIT_KEY`, `SWITCHBACK_AUDIT_CHECKPOINT_ENTRIES`, `SWITCHBACK_AUDIT_CHECKPOINT_MINUTES`,
    /// `SWITCHBACK_AUDIT_KEEP_DAYS`
    pub sealing: SealingSettings,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Audit {
    let usual = SealingSettings::default();
    let key = reader.parsed(
        &KEY,
        "the seed of an Ed25519 key: 64 hex digits, such as `openssl rand -hex 32` prints",
        |text| SealingKey::parse(text).ok(),
    );
    let entries = reader.parsed(
        &CHECKPOINT_ENTRIES,
        "a number of entries from 1 to 100000",
        |text| {
            let number = text.parse::<i64>().ok()?;
            (1..=100_000).contains(&number).then_some(number)
        },
    );
    let minutes = reader.parsed(
        &CHECKPOINT_MINUTES,
        "a number of minutes from 1 to 10080",
        |text| {
            let number = text.parse::<u64>().ok()?;
            (1..=10_080).contains(&number).then_some(number)
        },
    );
    let days = reader.parsed(&KEEP_DAYS, "a number of days from 1 to 36500", |text| {
        let number = text.parse::<u64>().ok()?;
        (1..=36_500).contains(&number).then_some(number)
    });
    Audit {
        sealing: SealingSettings {
            every_entries: entries.unwrap_or(usual.every_entries),
            every: minutes.map_or(usual.every, |minutes| Duration::from_secs(minutes * 60)),
            key,
            keep: days.map(|days| Duration::from_secs(days * DAY_SECONDS)),
        },
    }
}
