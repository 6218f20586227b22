//! What is read from files and variables, and what is told of what cannot be used.

use super::*;

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

#[test]
fn nothing_given_is_a_desk_on_this_machine() {
    let config = Config::read("", &BTreeMap::new()).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(config.database.url.expose_secret(), "sqlite:switchback.db");
    assert_eq!(
        (
            config.polling.active.as_millis(),
            config.polling.idle.as_millis()
        ),
        (1000, 30_000)
    );
    assert!(!config.relay.is_configured());
    assert!(config.bootstrap.user.is_none() && config.bootstrap.token.is_none());
}

#[test]
fn variables_go_before_the_file() {
    let text = "[server]\nlisten = '0.0.0.0:80'\n[polling]\nidle_ms = 100\nactive_ms = 200\n[relay]\nsecret = 'file'\n";
    let given = variables(&[
        ("SWITCHBACK_POLL_IDLE_MS", "300"),
        ("SWITCHBACK_RELAY_SECRET", "variable"),
    ]);
    let config = Config::read(text, &given).unwrap();
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:80");
    assert_eq!(
        (
            config.polling.active.as_millis(),
            config.polling.idle.as_millis()
        ),
        (200, 300)
    );
    assert_eq!(config.relay.secret.unwrap().expose_secret(), "variable");
}

#[test]
fn regions_are_named_once_each() {
    let regions = |text: &str, pairs: &[(&str, &str)]| {
        Config::read(text, &variables(pairs)).map(|config| config.aws.regions)
    };
    assert_eq!(regions("", &[]).unwrap(), Vec::<String>::new());
    let file = "[aws]\nregions = ['eu-central-1', 'us-east-1']\n";
    assert_eq!(regions(file, &[]).unwrap(), ["eu-central-1", "us-east-1"]);
    let given = [("SWITCHBACK_REGIONS", "us-west-2, eu-west-1")];
    assert_eq!(regions(file, &given).unwrap(), ["us-west-2", "eu-west-1"]);
    for wrong in [
        "eu-west-1,",
        "eu-west-1,eu-west-1",
        "Frankfurt",
        "eu west 1",
    ] {
        let problems = regions("", &[("SWITCHBACK_REGIONS", wrong)]).unwrap_err();
        let expected = format!(
            "SWITCHBACK_REGIONS (aws.regions in the file) must be AWS regions with commas between, \
             each once, such as eu-central-1,us-east-1, or none, not {wrong:?}"
        );
        assert_eq!(problems.0, [expected]);
    }
}

#[test]
fn queues_of_events_are_named_by_their_urls() {
    let urls = |text: &str| {
        let given = [("SWITCHBACK_EVENTS_QUEUE_URL", text)];
        Config::read("", &variables(&given)).map(|config| config.events.queue_urls)
    };
    let (one, other) = (
        "https://sqs.eu-central-1.amazonaws.com/123456789012/switchback-events",
        "http://127.0.0.1:4566/123456789012/events",
    );
    assert_eq!(urls("").unwrap(), Vec::<String>::new());
    assert_eq!(urls(&format!("{one}, {other}")).unwrap(), [one, other]);
    for wrong in [
        "switchback-events",
        "arn:aws:sqs:eu-central-1:123456789012:switchback-events",
        "https://sqs.eu-central-1.amazonaws.com/",
        "https://sqs.eu-central-1.amazonaws.com/123456789012/events.fifo",
        &format!("{one},{one}"),
    ] {
        let problems = urls(wrong).unwrap_err().0;
        let expected =
            "SWITCHBACK_EVENTS_QUEUE_URL (events.queue_url in the file) must be URLs of SQS queues";
        assert!(problems[0].starts_with(expected), "{problems:?}");
    }
}

#[test]
fn all_problems_at_once_and_no_secret_among_them() {
    let given = variables(&[
        ("SWITCHBACK_LISTEN", "3000"),
        ("SWITCHBACK_LEDGER_TABLE", "my ledger"),
        ("SWITCHBACK_PUBLIC_URL", "switchback.example.com"),
        ("SWITCHBACK_DATABASE_URL", "mysql://root:hunter2@db"),
        ("SWITCHBACK_POLL_ACTIVE_MS", "soon"),
        ("SWITCHBACK_POLL_IDLE_MS", "0"),
        ("SWITCHBACK_RELAY_SECRET", "hunter2"),
        ("SWITCHBACK_RELAY_SECRET_FILE", "/nonexistent/secret"),
        ("SWITCHBACK_BOOTSTRAP_PASSWORD", "hunter2"),
        ("SWITCHBACK_BOOTSTRAP_TOKEN", "hunter2 hunter2"),
    ]);
    let text = "[server]\nlisten = '0.0.0.0:80'\n[relay]\nsekret = 'hunter2'\n";
    let problems = Config::read(text, &given).unwrap_err();
    let expected = [
        "line 4 of the file: relay.sekret is not a setting",
        "SWITCHBACK_LISTEN (server.listen in the file) must be an address and port such as 127.0.0.1:3000, not \"3000\"",
        "SWITCHBACK_PUBLIC_URL (server.public_url in the file) must be a URL such as https://switchback.example.com, not \"switchback.example.com\"",
        "SWITCHBACK_DATABASE_URL (database.url in the file) must be sqlite:PATH or a postgres:// URL",
        "SWITCHBACK_POLL_ACTIVE_MS (polling.active_ms in the file) must be a number of milliseconds from 50 to 3600000, not \"soon\"",
        "SWITCHBACK_POLL_IDLE_MS (polling.idle_ms in the file) must be a number of milliseconds from 50 to 3600000, not \"0\"",
        "SWITCHBACK_LEDGER_TABLE (ledger.table in the file) must be the name of a DynamoDB table: 3 to 255 letters, digits, dots, hyphens and underscores, not \"my ledger\"",
        "SWITCHBACK_RELAY_SECRET and SWITCHBACK_RELAY_SECRET_FILE are both given; give one",
        "SWITCHBACK_RELAY_SECRET_FILE (relay.secret_file in the file) must be a readable file whose first line is the secret, not \"/nonexistent/secret\": No such file",
        "SWITCHBACK_BOOTSTRAP_PASSWORD is given without SWITCHBACK_BOOTSTRAP_USER",
        "SWITCHBACK_BOOTSTRAP_TOKEN (bootstrap.token in the file) must be visible ASCII characters without spaces",
    ];
    assert_eq!(problems.0.len(), expected.len(), "{problems}");
    for (problem, expected) in problems.0.iter().zip(expected) {
        assert!(problem.starts_with(expected), "{problem}");
    }
    let shown = format!(
        "{problems} {:?}",
        Config::read("", &variables(&[("SWITCHBACK_RELAY_SECRET", "hunter2")]))
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_secret_may_stand_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "s3cret\n").unwrap();
    let given = variables(&[("SWITCHBACK_RELAY_SECRET_FILE", path.to_str().unwrap())]);
    let config = Config::read("", &given).unwrap();
    assert_eq!(config.relay.secret.unwrap().expose_secret(), "s3cret");
}

#[test]
fn every_secret_may_stand_in_a_file_and_a_bad_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good");
    std::fs::write(&good, "sqlite:x.db\nrest\n").unwrap();
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    for setting in SETTINGS
        .iter()
        .filter(|setting| setting.kind == Kind::Secret)
    {
        let name = setting.file_variable();
        let read = |path: &Path| {
            let mut given = variables(&[(&name, path.to_str().unwrap())]);
            if setting.in_file == "bootstrap.password" {
                given.insert("SWITCHBACK_BOOTSTRAP_USER".to_string(), "dana".to_string());
            }
            Config::read("", &given)
        };
        if setting.in_file == "audit.key" {
            std::fs::write(&good, format!("{}\n", "9d".repeat(32))).unwrap();
        }
        read(&good).unwrap();
        std::fs::write(&good, "sqlite:x.db\nrest\n").unwrap();
        let problems = read(&empty).unwrap_err();
        assert!(
            problems.0[0].ends_with("its first line is empty"),
            "{problems}"
        );
        assert!(
            problems.0[0].starts_with(&format!("{name} ({}_file in", setting.in_file)),
            "{problems}"
        );
    }
    let path = good.to_str().unwrap();
    let text = format!("[database]\nurl_file = '{path}'\n");
    let config = Config::read(&text, &BTreeMap::new()).unwrap();
    assert_eq!(config.database.url.expose_secret(), "sqlite:x.db");
}

#[test]
fn every_wrong_key_of_the_file_is_told_with_its_line() {
    let text = "listen = '1'\n[server]\nlisten = 3000\nport = 1\n[log]\nlisten = ''\nform = { a = 1 }\n\
                [relay]\nsecrets = 'hunter2'\n[polling]\nactive_ms = 0x10\n[aws]\nregions = [1]\n[nonsense]\na = 1\n";
    let problems = Config::read(text, &BTreeMap::new()).unwrap_err();
    let expected = [
        "line 15 of the file: nonsense.a is not a setting",
        "line 1 of the file: listen stands outside the tables; there is no such setting",
        "line 4 of the file: server.port is not a setting",
        "line 6 of the file: log.listen is not a setting; is server.listen meant?",
        "line 7 of the file: log.form must be a text, a whole number or a list of texts",
        "line 9 of the file: relay.secrets is not a setting; is relay.secret meant?",
        "line 11 of the file: polling.active_ms must be a text, a whole number or a list of texts",
        "line 13 of the file: aws.regions must be a text, a whole number or a list of texts",
        "SWITCHBACK_LISTEN (server.listen in the file) must be an address and port such as 127.0.0.1:3000, not \"3000\"",
    ];
    let mut told = problems.0.clone();
    told.sort();
    let mut expected = expected.map(str::to_string).to_vec();
    expected.sort();
    assert_eq!(told, expected);
    assert!(!problems.to_string().contains("hunter2"));
}

#[test]
fn a_database_url_that_cannot_be_used_is_told_without_its_password() {
    let problems = |pairs: &[(&str, &str)]| {
        Config::read("", &variables(pairs))
            .err()
            .map(|problems| problems.0)
            .unwrap_or_default()
    };
    for (url, part) in [
        ("postgres://desk:hunter2@db:port/x", "invalid port number"),
        ("postgres://desk:hunter2@db/x?sslmode=maybe", "maybe"),
        ("sqlite::memory:", ""),
        ("sqlite:x.db?mode=sometimes", "sometimes"),
        ("mysql://desk:hunter2@db", ""),
    ] {
        let told = problems(&[("SWITCHBACK_DATABASE_URL", url)]);
        assert_eq!(told.len(), 1, "{url}");
        assert!(told[0].contains(part), "{told:?}");
        assert!(!told[0].contains("hunter2"), "{told:?}");
    }
}

/// The page for operators has one line for each setting, and no line for none.
#[test]
fn the_documentation_names_every_setting() {
    let page = include_str!("../../../docs/configuration.md");
    let cells = |line: &str| -> Vec<String> {
        line.split('|')
            .map(|cell| cell.trim().replace('`', ""))
            .collect()
    };
    let rows: Vec<Vec<String>> = page
        .lines()
        .filter(|line| line.starts_with("| `SWITCHBACK_"))
        .map(cells)
        .collect();
    let named: Vec<(&str, &str, &str)> = rows
        .iter()
        .map(|row| (row[1].as_str(), row[2].as_str(), row[5].as_str()))
        .collect();
    let ours: Vec<(&str, &str, &str)> = SETTINGS
        .iter()
        .map(|setting| {
            let kind = match setting.kind {
                Kind::Plain => "",
                Kind::Secret => "yes",
            };
            (setting.variable, setting.in_file, kind)
        })
        .collect();
    assert_eq!(named, ours);
}

#[test]
fn a_variable_that_is_not_ours_is_told() {
    let given = variables(&[
        ("SWITCHBACK_POL_IDLE_MS", "1"),
        ("SWITCHBACK_LISTEN", "x"),
        ("SWITCHBACK_DATABASE_URL_FILE", "x"),
        ("SWITCHBACK_LISTEN_FILE", "x"),
        ("HOME", "/"),
    ]);
    assert_eq!(
        unknown_variables(&given),
        ["SWITCHBACK_LISTEN_FILE", "SWITCHBACK_POL_IDLE_MS"]
    );
}
