//! The setting that names further accounts: a list, each with the role that is assumed there.
//!
//! In the file it is `[[accounts]]`, in the variable the same as JSON. Both are read by the same rules, and every
//! problem names the entry it is about.

use serde_json::Map;
use serde_json::Value;
use switchback_aws::AwsRole;
use switchback_cloud::AssumedAccount;

/// The members of an entry.
const MEMBERS: [&str; 5] = ["role_arn", "external_id", "session_name", "regions", "name"];

/// The name of a session where an entry gives none.
const SESSION_NAME: &str = "switchback";

/// A further account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSetting {
    /// How it is reached.
    pub role: AwsRole,
    /// Its regions; those of Switchback's own account when there are none here.
    pub regions: Vec<String>,
}

/// The regions in a text with commas between; `None` when one is no region, or is named twice.
pub fn regions_of<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Vec<String>> {
    let regions: Vec<String> = names
        .into_iter()
        .map(|name| name.trim().to_string())
        .collect();
    let sound = |name: &String| {
        name.contains('-')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let each_once = regions
        .iter()
        .enumerate()
        .all(|(index, name)| !regions[..index].contains(name));
    (regions.iter().all(sound) && each_once).then_some(regions)
}

/// A list as the file has it, as the variable would give it; `None` when it is no list of tables.
pub fn json_of(value: toml::de::DeValue<'_>) -> Option<String> {
    use toml::de::DeValue;
    let DeValue::Array(items) = value else {
        return None;
    };
    let tables: Option<Vec<Value>> = items
        .into_iter()
        .map(|item| {
            let DeValue::Table(table) = item.into_inner() else {
                return None;
            };
            let mut members = Map::new();
            for (key, value) in table {
                members.insert(key.into_inner().into_owned(), plain(value.into_inner())?);
            }
            Some(Value::Object(members))
        })
        .collect();
    tables.map(|tables| Value::Array(tables).to_string())
}

fn plain(value: toml::de::DeValue<'_>) -> Option<Value> {
    use toml::de::DeValue;
    match value {
        DeValue::String(text) => Some(Value::String(text.into_owned())),
        DeValue::Array(items) => {
            let items = items.into_iter().map(|item| plain(item.into_inner()));
            items.collect::<Option<Vec<Value>>>().map(Value::Array)
        }
        DeValue::Integer(number) => Some(Value::String(number.as_str().to_string())),
        _ => None,
    }
}

/// Reads the list. `own_regions` are those of the account of Switchback's own credentials, which an entry without
/// regions has too; empty where that is the SDK's own. Every problem is a sentence about one entry.
pub fn read(text: &str, own_regions: &[String]) -> Result<Vec<AccountSetting>, Vec<String>> {
    let Ok(Value::Array(entries)) = serde_json::from_str(text) else {
        return Err(vec![
            "must be a list of accounts, each with the role_arn to assume there: [[accounts]] in the file, JSON such as \
             [{\"role_arn\": \"arn:aws:iam::210987654321:role/switchback\", \"external_id\": \"…\", \
             \"regions\": [\"eu-central-1\"], \"name\": \"staging\"}] in the variable"
                .to_string(),
        ]);
    };
    let mut problems = Vec::new();
    let mut settings: Vec<(usize, AccountSetting)> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        match entry_of(entry) {
            Ok(setting) => settings.push((index + 1, setting)),
            Err(found) => problems.extend(
                found
                    .into_iter()
                    .map(|problem| format!("entry {}: {problem}", index + 1)),
            ),
        }
    }
    for (at, (place, setting)) in settings.iter().enumerate() {
        for (earlier_place, earlier) in &settings[..at] {
            problems.extend(
                clash(earlier, setting, own_regions).map(|clash| {
                    format!("entry {place}: {clash} of entry {earlier_place} already")
                }),
            );
        }
    }
    if problems.is_empty() {
        Ok(settings.into_iter().map(|(_, setting)| setting).collect())
    } else {
        Err(problems)
    }
}

/// What two entries both have that only one may.
fn clash(
    earlier: &AccountSetting,
    setting: &AccountSetting,
    own_regions: &[String],
) -> Option<String> {
    let (one, other) = (&earlier.role.account, &setting.role.account);
    if other.name.is_some() && one.name == other.name && one.account != other.account {
        return Some(format!(
            "the name {:?} is that",
            other.name.as_deref().unwrap_or_default()
        ));
    }
    if one.account != other.account {
        return None;
    }
    let regions = |setting: &AccountSetting| match setting.regions.is_empty() {
        true => own_regions.to_vec(),
        false => setting.regions.clone(),
    };
    let (earlier, here) = (regions(earlier), regions(setting));
    let shared = here.iter().find(|region| earlier.contains(region));
    match shared {
        Some(region) => Some(format!(
            "account {} in {region} is watched because",
            other.account
        )),
        None if earlier.is_empty() && here.is_empty() => Some(format!(
            "account {} in the SDK's own region is watched because",
            other.account
        )),
        None => None,
    }
}

fn entry_of(entry: &Value) -> Result<AccountSetting, Vec<String>> {
    let Some(members) = entry.as_object() else {
        return Err(vec!["must be a table with the member role_arn".to_string()]);
    };
    let mut problems: Vec<String> = members
        .keys()
        .filter(|key| !MEMBERS.contains(&key.as_str()))
        .map(|key| {
            format!(
                "{key} is no member of an account; those are {}",
                MEMBERS.join(", ")
            )
        })
        .collect();
    let mut text = |name: &str, expected: &str, fits: &dyn Fn(&str) -> bool| {
        let given = members.get(name)?;
        let text = given.as_str().filter(|text| fits(text));
        if text.is_none() {
            problems.push(format!("{name} must be {expected}, not {given}"));
        }
        text.map(str::to_string)
    };
    let arn = "the ARN of a role such as arn:aws:iam::210987654321:role/switchback";
    let role_arn = text("role_arn", arn, &|text| account_of(text).is_some());
    // AWS's own limits of AssumeRole's members. [M]
    let external_id = text(
        "external_id",
        "2 to 1224 letters, digits and _+=,.@:/-",
        &|text| (2..=1224).contains(&text.len()) && consists_of(text, b"_+=,.@:/-"),
    );
    let session_name = text(
        "session_name",
        "2 to 64 letters, digits and _+=,.@-",
        &|text| (2..=64).contains(&text.len()) && consists_of(text, b"_+=,.@-"),
    );
    let name = text(
        "name",
        "1 to 40 letters, digits, blanks and _.-, and no account number",
        &|text| {
            (1..=40).contains(&text.len())
                && consists_of(text, b" _.-")
                && text.trim() == text
                && !is_account(text)
        },
    );
    let regions = match members.get("regions") {
        None => Some(Vec::new()),
        Some(given) => {
            let names: Option<Vec<&str>> = given
                .as_array()
                .filter(|names| !names.is_empty())
                .and_then(|names| names.iter().map(Value::as_str).collect());
            let regions = names.and_then(regions_of);
            if regions.is_none() {
                problems.push(format!(
                    "regions must be a list of AWS regions, each once, such as [\"eu-central-1\"], not {given}"
                ));
            }
            regions
        }
    };
    if !members.contains_key("role_arn") {
        problems.push(format!("role_arn is missing: {arn}"));
    }
    match (role_arn, regions) {
        (Some(role_arn), Some(regions)) if problems.is_empty() => Ok(AccountSetting {
            role: AwsRole {
                account: AssumedAccount {
                    account: account_of(&role_arn).unwrap_or_default().to_string(),
                    role_arn,
                    name,
                },
                external_id,
                session_name: session_name.unwrap_or_else(|| SESSION_NAME.to_string()),
            },
            regions,
        }),
        _ => Err(problems),
    }
}

fn consists_of(text: &str, others: &[u8]) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The account in a role's ARN; `None` when it is none.
fn account_of(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (scheme, partition, service, region) = (next(), next(), next(), next());
    let (account, role) = (next(), next());
    let sound = scheme == "arn"
        && partition.starts_with("aws")
        && service == "iam"
        && region.is_empty()
        && is_account(account)
        && role
            .strip_prefix("role/")
            .is_some_and(|name| !name.is_empty() && !name.ends_with('/'))
        && role.bytes().all(|byte| byte.is_ascii_graphic());
    sound.then_some(account)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::collections::BTreeMap;

    const STAGING: &str = "arn:aws:iam::210987654321:role/teams/switchback";

    #[test]
    fn an_account_is_its_role() {
        let text = format!(
            r#"[{{"role_arn": "{STAGING}", "external_id": "ticket-7", "regions": ["eu-central-1"], "name": "staging"}},
                {{"role_arn": "arn:aws-cn:iam::345678901234:role/x"}}]"#
        );
        let read = read(&text, &[]).unwrap();
        assert_eq!(read[0].role.account.account, "210987654321");
        assert_eq!(read[0].role.account.name.as_deref(), Some("staging"));
        assert_eq!(read[0].role.external_id.as_deref(), Some("ticket-7"));
        assert_eq!(read[0].regions, ["eu-central-1"]);
        assert_eq!(read[0].role.session_name, "switchback");
        assert_eq!(read[1].role.account.account, "345678901234");
        assert!(read[1].regions.is_empty());
    }

    #[test]
    fn every_problem_names_its_entry() {
        let problems = |text: &str| read(text, &["eu-central-1".to_string()]).unwrap_err();
        for (text, expected) in [
            ("arn:aws:iam::210987654321:role/x", "must be a list"),
            ("{}", "must be a list"),
            ("[1]", "entry 1: must be a table"),
            ("[{}]", "entry 1: role_arn is missing"),
            (
                r#"[{"role_arn": "arn:aws:iam::2109:role/x"}]"#,
                "entry 1: role_arn must be the ARN of a role such as",
            ),
            (
                r#"[{"role_arn": "arn:aws:iam::210987654321:user/x"}]"#,
                "entry 1: role_arn must be",
            ),
            (
                r#"[{"role_arn": "arn:aws:iam::210987654321:role/x", "regions": []}]"#,
                "entry 1: regions must be",
            ),
            (
                r#"[{"role_arn": "arn:aws:iam::210987654321:role/x", "regions": ["Frankfurt"]}]"#,
                "entry 1: regions must be",
            ),
            (
                r#"[{"role_arn": "arn:aws:iam::210987654321:role/x", "region": "eu-west-1"}]"#,
                "entry 1: region is no member of an account",
            ),
            (
                r#"[{"role_arn": "arn:aws:iam::210987654321:role/x", "external_id": "x"}]"#,
                "entry 1: external_id must be",
            ),
            (
                r#"[{"role_arn": "arn:aws:iam::210987654321:role/x", "name": "210987654321"}]"#,
                "entry 1: name must be",
            ),
            (
                r#"[{"role_arn": "arn:aws:iam::210987654321:role/x"},
                    {"role_arn": "arn:aws:iam::210987654321:role/y", "regions": ["us-east-1", "eu-central-1"]}]"#,
                "entry 2: account 210987654321 in eu-central-1 is watched because of entry 1 already",
            ),
            (
                r#"[{"role_arn": "arn:aws:iam::210987654321:role/x", "name": "a"},
                    {"role_arn": "arn:aws:iam::345678901234:role/y", "name": "a"}]"#,
                "entry 2: the name \"a\" is that of entry 1 already",
            ),
        ] {
            let found = problems(text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].starts_with(expected), "{text}: {found:?}");
        }
    }

    #[test]
    fn one_account_may_have_other_regions_in_another_entry() {
        let text = r#"[{"role_arn": "arn:aws:iam::210987654321:role/x", "regions": ["eu-central-1"]},
                       {"role_arn": "arn:aws:iam::210987654321:role/x", "regions": ["us-east-1"]}]"#;
        assert_eq!(read(text, &[]).unwrap().len(), 2);
    }

    #[test]
    fn accounts_are_read_from_the_file_and_from_the_variable() {
        let file = "[aws]\nregions = ['eu-central-1']\n[[accounts]]\nrole_arn = 'arn:aws:iam::210987654321:role/x'\n\
                    name = 'staging'\n[[accounts]]\nrole_arn = 'arn:aws:iam::345678901234:role/x'\nregions = ['us-east-1']\n";
        let config = Config::read(file, &BTreeMap::new()).unwrap();
        let numbers: Vec<&str> = config
            .aws
            .accounts
            .iter()
            .map(|setting| setting.role.account.account.as_str())
            .collect();
        assert_eq!(numbers, ["210987654321", "345678901234"]);
        let given = BTreeMap::from([
            (
                "SWITCHBACK_ACCOUNTS".to_string(),
                r#"[{"role_arn": "arn:aws:iam::456789012345:role/x"}]"#.to_string(),
            ),
            ("SWITCHBACK_REGIONS".to_string(), "none".to_string()),
        ]);
        let config = Config::read(file, &given).unwrap();
        assert_eq!(config.aws.accounts.len(), 1);
        assert!(!config.aws.watches_own_account);
        let wrong = "[[accounts]]\nrole_arn = 'x'\n[[accounts]]\nregions = ['eu-west-1']\n";
        let problems = Config::read(wrong, &BTreeMap::new()).unwrap_err();
        assert_eq!(problems.0.len(), 2, "{problems}");
        assert!(
            problems.0[0].starts_with(
                "SWITCHBACK_ACCOUNTS (accounts in the file), entry 1: role_arn must be"
            ),
            "{problems}"
        );
        let problems = Config::read("accounts = 1\n", &BTreeMap::new()).unwrap_err();
        assert!(problems.0[0].starts_with("line 1 of the file: accounts must be tables"));
        let nothing = Config::read(
            "",
            &BTreeMap::from([("SWITCHBACK_REGIONS".to_string(), "none".to_string())]),
        )
        .unwrap_err();
        assert!(
            nothing.0[0].ends_with("nothing would be watched"),
            "{nothing}"
        );
    }
}
