//! A browser window: headless Chromium, driven by its own driver, gone when it is dropped.
//!
//! What is on the page is read as text that a person sees. Every window ends with
//! [`Window::finish`], which holds that the browser had nothing to complain about: no script error, no
//! refused request, no violation of the content security policy.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fantoccini::Client;
use fantoccini::ClientBuilder;
use fantoccini::Locator;
use fantoccini::wd::WebDriverCompatibleCommand;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;
use url::Url;

use crate::machine;
use crate::machine::Process;
use crate::wait::SOON;
use crate::wait::until;

/// How much of a page is shown when something is not on it.
const SHOWN_CHARACTERS: usize = 3000;

/// Whether pages may run scripts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scripts {
    On,
    Off,
}

/// What the page is looked at with.
#[derive(Clone, Copy)]
pub enum Screen {
    Desktop,
    Phone,
    /// The narrowest that must do without a sideways scroll: a desktop of 1280 at 400 %.
    Narrow,
}

/// The window.
pub struct Window {
    client: Client,
    base: String,
    finished: bool,
    scripts: Scripts,
    _driver: Process,
    profile: TempDir,
}

impl Window {
    /// A desktop window with nothing in it.
    pub async fn open(base: &str) -> Window {
        Window::open_with(base, Scripts::On).await
    }

    /// A desktop window; `Scripts::Off` is a browser in which scripts are switched off.
    pub async fn open_with(base: &str, scripts: Scripts) -> Window {
        let profile = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(machine::program("CHROMEDRIVER"));
        machine::hermetic(&mut command);
        command
            .arg("--port=0")
            .env("HOME", profile.path())
            .env("TMPDIR", profile.path());
        let log = profile.path().join("chromedriver.log");
        let mut driver = Process::start("the browser's driver", command, &log);
        let port = until("the browser's driver is ready", SOON, async || {
            assert!(
                driver.is_running(),
                "the browser's driver ended at its start"
            );
            let output = driver.output();
            let port = output.split_once("successfully on port ").map(|(_, rest)| {
                rest.chars()
                    .take_while(char::is_ascii_digit)
                    .collect::<String>()
            });
            port.ok_or(output)
        })
        .await;
        let capabilities = capabilities(&profile.path().join("profile"), scripts);
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap_or_else(|error| panic!("the browser does not start: {error}"));
        let window = Window {
            client,
            base: base.to_string(),
            finished: false,
            scripts,
            _driver: driver,
            profile,
        };
        window.looks_through(Screen::Desktop).await;
        window
    }

    // ---- going and reading -------------------------------------------------------------------------

    /// Goes to a path of the server.
    pub async fn goes_to(&self, path: &str) {
        let url = format!("{}{path}", self.base);
        self.client
            .goto(&url)
            .await
            .unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// The path, query included, that the window is at.
    pub async fn path(&self) -> String {
        let url = self
            .client
            .current_url()
            .await
            .expect("the window is somewhere");
        let path = url.path();
        url.query()
            .map_or_else(|| path.to_string(), |query| format!("{path}?{query}"))
    }

    /// Waits until the window is at a path that begins like this.
    pub async fn is_at(&self, path: &str) {
        until(&format!("the window is at {path}"), SOON, async || {
            let at = self.path().await;
            if at.starts_with(path) {
                Ok(())
            } else {
                Err(at)
            }
        })
        .await;
    }

    /// The text that can be seen, its spaces made plain.
    pub async fn text(&self) -> String {
        let text = self
            .run("return document.body ? document.body.innerText : '';")
            .await;
        plain(text.as_str().unwrap_or_default())
    }

    /// Waits until this can be read on the page, without regard to case.
    pub async fn sees(&self, text: &str) {
        self.sees_within(text, SOON).await;
    }

    /// Waits at most so long until this can be read on the page.
    pub async fn sees_within(&self, text: &str, bound: Duration) {
        until(&format!("{text:?} can be read"), bound, async || {
            self.shows(text).await
        })
        .await;
    }

    /// Whether this can be read on the page now; else what can be.
    pub async fn shows(&self, text: &str) -> Result<(), String> {
        let page = self.text().await;
        if page.to_lowercase().contains(&text.to_lowercase()) {
            return Ok(());
        }
        let path = self.path().await;
        Err(format!(
            "{path}: {}",
            page.chars().take(SHOWN_CHARACTERS).collect::<String>()
        ))
    }

    /// Holds that this cannot be read on the page.
    pub async fn does_not_see(&self, text: &str) {
        let page = self.text().await;
        assert!(
            !page.to_lowercase().contains(&text.to_lowercase()),
            "{text:?} is on: {page}"
        );
    }

    /// Waits until the page is awake and hears of changes.
    pub async fn is_live(&self) {
        assert!(
            self.scripts == Scripts::On,
            "a page without scripts is never live"
        );
        until("the page hears of changes", SOON, async || {
            let state = self
                .run(
                    "return document.querySelector('[data-connection]')?.dataset.connection ?? '';",
                )
                .await;
            if state == "open" {
                Ok(())
            } else {
                Err(format!("the connection is {state}"))
            }
        })
        .await;
    }

    /// Runs a script in the page.
    pub async fn run(&self, script: &str) -> Value {
        // Without scripts in pages the driver's own still run.
        self.client
            .execute(script, Vec::new())
            .await
            .unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    // ---- acting ------------------------------------------------------------------------------------

    /// Presses the button or follows the link with this text; the first one that can be seen.
    pub async fn presses(&self, label: &str) {
        let words = "normalize-space(translate(., '\u{a0}\u{202f}', '  '))";
        let path = format!(
            "//*[self::button or self::a or self::summary][contains({words}, \"{label}\")]"
        );
        until(&format!("{label:?} can be pressed"), SOON, async || {
            let found = self.client.find_all(Locator::XPath(&path)).await;
            let found = found.map_err(|error| error.to_string())?;
            for element in found {
                if element.is_displayed().await.unwrap_or(false) {
                    return element.click().await.map_err(|error| error.to_string());
                }
            }
            Err(self
                .shows(label)
                .await
                .err()
                .unwrap_or_else(|| "it is no button".to_string()))
        })
        .await;
    }

    /// Types into the field with this name, in place of what is there.
    pub async fn types(&self, field: &str, text: &str) {
        let css = format!("main [name='{field}'], form [name='{field}']");
        until(&format!("the field {field} takes text"), SOON, async || {
            let found = self.client.find_all(Locator::Css(&css)).await;
            for element in found.map_err(|error| error.to_string())? {
                if element.is_displayed().await.unwrap_or(false) {
                    element.clear().await.map_err(|error| error.to_string())?;
                    return element
                        .send_keys(text)
                        .await
                        .map_err(|error| error.to_string());
                }
            }
            Err("there is none that can be seen".to_string())
        })
        .await;
    }

    /// What a field holds now.
    pub async fn value_of(&self, field: &str) -> String {
        let script = format!("return document.querySelector('[name={field}]')?.value ?? null;");
        self.run(&script)
            .await
            .as_str()
            .unwrap_or_default()
            .to_string()
    }

    /// Signs in by the form, from the sign-in page, and lands on Now.
    pub async fn signs_in(&self, username: &str, password: &str) {
        self.goes_to("/sign-in").await;
        self.types("username", username).await;
        self.types("password", password).await;
        self.presses("Sign in").await;
        self.is_at("/").await;
        self.sees("Needs you").await;
    }

    // ---- looks -------------------------------------------------------------------------------------

    /// The size of the screen.
    pub async fn looks_through(&self, screen: Screen) {
        let (width, height, mobile) = match screen {
            Screen::Desktop => (1440, 1000, false),
            Screen::Phone => (390, 844, true),
            Screen::Narrow => (320, 640, true),
        };
        self.tells_browser(
            "Emulation.setDeviceMetricsOverride",
            json!({
                "width": width, "height": height, "screenWidth": width, "screenHeight": height,
                "deviceScaleFactor": 1, "mobile": mobile,
            }),
        )
        .await;
    }

    /// The colours, by the cookie that the page's own form sets.
    pub async fn wears(&self, theme: &str) {
        self.tells_browser(
            "Network.setCookie",
            json!({ "name": "theme", "value": theme, "url": self.base }),
        )
        .await;
        let _ = self.client.refresh().await;
    }

    async fn tells_browser(&self, command: &str, parameters: Value) {
        let order = DevTools {
            command: command.to_string(),
            parameters,
        };
        let answer = self.client.issue_cmd(order).await;
        answer.unwrap_or_else(|error| panic!("{command}: {error}"));
    }

    /// Keeps a picture of what the window shows, as `screenshots/NAME.png` in the target directory.
    pub async fn keeps_picture(&self, name: &str) {
        let folder = machine::target_folder().join("screenshots");
        std::fs::create_dir_all(&folder).expect("the folder of pictures can be made");
        let picture = self
            .client
            .screenshot()
            .await
            .expect("a picture can be taken");
        let file = folder.join(format!("{name}.png"));
        std::fs::write(&file, picture)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    /// Holds that axe-core finds nothing serious or critical on the page.
    pub async fn hinders_nobody(&self) {
        let grave = self.hindrances().await;
        let path = self.path().await;
        assert!(
            grave.is_empty(),
            "{path} hinders somebody:\n{}",
            grave.join("\n")
        );
    }

    /// What axe-core finds serious or critical on the page; what is less is printed.
    pub async fn hindrances(&self) -> Vec<String> {
        let axe = std::fs::read_to_string(machine::program("AXE")).expect("axe-core can be read");
        // By the driver, which the page's policy does not bind.
        self.run(&format!("{axe}\nreturn null;")).await;
        let found = self
            .client
            .execute_async(
                "const done = arguments[arguments.length - 1];\
                 const words = node => [node.target.join(' '), ...node.any.concat(node.all, node.none)\
                 .map(check => check.message)].join(': ');\
                 axe.run(document, { resultTypes: ['violations'] }).then(\
                 result => done(result.violations.map(({ impact, id, help, nodes }) => \
                 [impact, `${impact} ${id}, ${help}: ${nodes.map(words).join(' | ')}`])), \
                 error => done([['critical', String(error)]]));",
                Vec::new(),
            )
            .await
            .unwrap_or_else(|error| panic!("axe-core does not run: {error}"));
        let mut grave = Vec::new();
        for one in found.as_array().expect("axe-core tells a list") {
            let text = one[1].as_str().unwrap_or_default().to_string();
            match one[0].as_str() {
                Some("serious" | "critical") => grave.push(text),
                _ => eprintln!("{}: {text}", self.path().await),
            }
        }
        grave
    }

    /// Types these keys where the focus is.
    pub async fn keys(&self, keys: &str) {
        let focused = self
            .client
            .active_element()
            .await
            .expect("something has the focus");
        focused
            .send_keys(keys)
            .await
            .unwrap_or_else(|error| panic!("{keys:?}: {error}"));
    }

    /// Holds that nothing is wider than the screen; else says what would stand out of it.
    pub async fn fits(&self) {
        let wide = self
            .run(
                "const page = document.documentElement;\
                 const width = Math.min(screen.width, page.clientWidth);\
                 if (page.scrollWidth <= width) { return []; }\
                 document.body.style.width = `${width}px`;\
                 const edge = element => Math.round(element.getBoundingClientRect().right);\
                 return [...document.querySelectorAll('body *')]\
                 .filter(element => !element.closest('pre, .scrolls') && (edge(element) > width || \
                 (element.scrollWidth > element.clientWidth && element.clientWidth > 0 && \
                 edge(element) + element.scrollWidth - element.clientWidth > width)))\
                 .map(element => `${element.tagName} ${element.getAttribute('class') ?? ''} to \
                 ${edge(element)} of ${width}`).concat(`the page to ${page.scrollWidth}`);",
            )
            .await;
        assert_eq!(
            wide,
            json!([]),
            "wider than the screen: {}",
            self.path().await
        );
    }

    /// The end of a window: the browser complained of nothing but `expected` (parts of its messages).
    pub async fn finish(mut self, expected: &[&str]) {
        self.finished = true;
        let entries = self
            .client
            .issue_cmd(BrowserLog)
            .await
            .expect("the browser has a log");
        let complaints: Vec<String> = entries
            .as_array()
            .into_iter()
            .flatten()
            .filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING")
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_string())
            .filter(|message| !expected.iter().any(|part| message.contains(part)))
            // Without scripts nothing uses the code that the page has fetched beforehand.
            .filter(|message| self.scripts == Scripts::On || !message.contains("preloaded"))
            .collect();
        assert!(
            complaints.is_empty(),
            "the browser complained:\n{}",
            complaints.join("\n")
        );
        // The guard ends whatever this leaves.
        let _ = self.client.clone().close().await;
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // The browser leaves its driver's group; its profile's folder is in its command line.
        end_processes_of(&self.profile.path().join("profile"));
        if !self.finished && !std::thread::panicking() {
            panic!("a window must end with Window::finish");
        }
    }
}

/// Kills the processes whose command line names this folder, which nobody but one window has.
fn end_processes_of(profile: &Path) {
    let Some(profile) = profile.to_str() else {
        return;
    };
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return;
    };
    for entry in entries.flatten() {
        let id = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok());
        let Some(id) = id.and_then(rustix::process::Pid::from_raw) else {
            continue;
        };
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&command).contains(profile) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        }
    }
}

fn capabilities(profile: &Path, scripts: Scripts) -> serde_json::Map<String, Value> {
    let mut arguments: Vec<String> = [
        "--headless",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--lang=en",
        "--window-size=1440,1000",
    ]
    .map(str::to_string)
    .to_vec();
    arguments.push(format!("--user-data-dir={}", profile.display()));
    if rustix::process::getuid().is_root() {
        // Chromium refuses to start its sandbox for root, whom containers run as.
        arguments.push("--no-sandbox".to_string());
    }
    let mut options = json!({
        "binary": machine::program("CHROMIUM"),
        "args": arguments,
    });
    if scripts == Scripts::Off {
        options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
    }
    let capabilities = json!({
        "browserName": "chrome",
        "goog:chromeOptions": options,
        "goog:loggingPrefs": { "browser": "ALL" },
    });
    capabilities.as_object().cloned().unwrap_or_default()
}

/// Spaces of every kind as one plain space.
fn plain(text: &str) -> String {
    text.split(char::is_whitespace)
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The browser's console, which WebDriver itself does not know.
#[derive(Debug)]
struct BrowserLog;

impl WebDriverCompatibleCommand for BrowserLog {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        (
            http::Method::POST,
            Some(json!({ "type": "browser" }).to_string()),
        )
    }
}

/// A command of the browser's own protocol.
#[derive(Debug)]
struct DevTools {
    command: String,
    parameters: Value,
}

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!(
            "session/{}/goog/cdp/execute",
            session.unwrap_or_default()
        ))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        let body = json!({ "cmd": self.command, "params": self.parameters });
        (http::Method::POST, Some(body.to_string()))
    }
}
