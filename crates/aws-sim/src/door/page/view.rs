//! The control page's HTML: from a [`Snapshot`] to markup, with nothing read or done on the way.

use std::collections::BTreeMap;

use maud::{DOCTYPE, Markup, html};

use crate::door::clock::rfc3339;
use crate::door::faults::{ActiveFault, FaultKind};
use crate::door::simulation::JournalEntry;
use crate::value::Value;

/// How many services, alarms and ended deployments are shown at once; the filter finds the others.
const SHOWN: usize = 40;

/// What is to be shown.
pub(super) struct Snapshot {
    /// The simulated time, in milliseconds since 1970 UTC.
    pub now_ms: i64,
    /// Simulated seconds each second.
    pub speed: f64,
    /// Every account and region that was used.
    pub places: Vec<(String, String)>,
    /// Twelve digits.
    pub account: String,
    /// For example `eu-central-1`.
    pub region: String,
    /// What services, alarms and deployments have in their names to be shown; empty for all.
    pub wanted: String,
    /// What the last button did.
    pub said: Option<String>,
    /// The account in this region as `World::report` tells it; `Null` if nobody has used it.
    pub report: Value,
    /// In force, oldest first.
    pub faults: Vec<ActiveFault>,
    /// Latest first.
    pub journal: Vec<JournalEntry>,
    /// How many calls the journal has.
    pub calls: usize,
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).as_str().unwrap_or_default()
}

fn number(value: &Value, member: &str) -> i64 {
    value.get(member).as_i64().unwrap_or_default()
}

/// What comes after the last slash: `family:revision` of a task definition, the id of a task.
fn tail(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// A span of time in the two largest units that matter.
fn span(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        86_400..172_800 => format!("1 day {} h", seconds % 86_400 / 3600),
        _ => format!("{} days {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// `1 task`, `2 tasks`.
pub(super) fn counted(count: i64, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// A percentage without a trailing fraction.
fn percent(share: f64) -> String {
    format!("{} %", (share * 1000.0).round() / 10.0)
}

impl Snapshot {
    fn wants(&self, names: &[&str]) -> bool {
        let wanted = self.wanted.to_lowercase();
        wanted.is_empty()
            || names
                .iter()
                .any(|name| name.to_lowercase().contains(&wanted))
    }

    /// Where a form acts and where it comes back to.
    fn place(&self) -> Markup {
        html! {
            input type="hidden" name="account" value=(self.account);
            input type="hidden" name="region" value=(self.region);
            @if !self.wanted.is_empty() { input type="hidden" name="q" value=(self.wanted); }
        }
    }

    /// A form that is one button.
    fn button(&self, act: &str, label: &str, class: &str, fields: &[(&str, &str)]) -> Markup {
        html! {
            form method="post" action="/_sim/do" {
                (self.place())
                input type="hidden" name="act" value=(act);
                @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
                button class=(class) { (label) }
            }
        }
    }

    /// Percent of its listener's traffic that each target group has: (port, share).
    fn shares(&self) -> BTreeMap<&str, Vec<(i64, f64)>> {
        let mut shares: BTreeMap<&str, Vec<(i64, f64)>> = BTreeMap::new();
        for listener in self.report.get("listeners").as_list() {
            let weights = listener.get("weights").as_list();
            let total: i64 = weights.iter().map(|one| number(one, "weight")).sum();
            for one in weights {
                let share = if total > 0 {
                    number(one, "weight") as f64 / total as f64
                } else {
                    0.0
                };
                let port = number(listener, "port");
                shares
                    .entry(text(one, "targetGroup"))
                    .or_default()
                    .push((port, share));
            }
        }
        shares
    }

    /// The share of requests that each disturbed revision fails.
    fn disturbed(&self) -> BTreeMap<&str, f64> {
        let list = self.report.get("disturbed").as_list().iter();
        list.map(|one| {
            let rate = one.get("errorRate").as_f64().unwrap_or_default();
            (text(one, "taskDefinition"), rate)
        })
        .collect()
    }
}

/// The whole page.
pub(super) fn page(shot: &Snapshot) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Simulated AWS account " (shot.account) " in " (shot.region) }
                link rel="icon" href="data:,";
                link rel="stylesheet" href="/_sim/page.css";
                script src="/_sim/page.js" defer {}
            }
            body {
                header {
                    div .row.spread {
                        h1 { "Simulated AWS account" }
                        (places(shot))
                    }
                    @if let Some(said) = &shot.said {
                        p .said .refused[said.starts_with("Refused")] role="status" { (said) }
                    }
                }
                main id="live" {
                    (clock(shot))
                    (waiting(shot))
                    (services(shot))
                    (alarms(shot))
                    (faults(shot))
                    (journal(shot))
                }
                footer {
                    "Whoever reaches this port can do all of this, and any AWS call. "
                    "As JSON: " a href="/_sim/state" { "state" } ", "
                    a href="/_sim/journal" { "journal" } ", "
                    a href="/_sim/faults" { "faults" } "."
                }
            }
        }
    }
}

fn places(shot: &Snapshot) -> Markup {
    let mut accounts: Vec<&str> = shot.places.iter().map(|(account, _)| &**account).collect();
    accounts.push(&shot.account);
    accounts.sort_unstable();
    accounts.dedup();
    let mut regions: Vec<&str> = shot.places.iter().map(|(_, region)| &**region).collect();
    regions.push(&shot.region);
    regions.sort_unstable();
    regions.dedup();
    html! {
        form method="get" action="/_sim/" {
            label { "Account"
                select name="account" data-submits {
                    @for account in accounts { option selected[account == shot.account] { (account) } }
                }
            }
            label { "Region"
                select name="region" data-submits {
                    @for region in regions { option selected[region == shot.region] { (region) } }
                }
            }
            label { "Names with"
                input type="search" name="q" value=(shot.wanted) placeholder="all";
            }
            button { "Show" }
        }
    }
}

fn clock(shot: &Snapshot) -> Markup {
    let now = rfc3339(shot.now_ms);
    let shown = now.get(..19).unwrap_or(&now).replace('T', " ");
    html! {
        div .row.spread {
            p #clock {
                strong { time datetime=(now) { (shown) } } " UTC"
                @if shot.speed == 0.0 { ", time stands still" } @else { ", " (shot.speed) " × real time" }
            }
            div .row {
                form method="post" action="/_sim/do" {
                    (shot.place())
                    input type="hidden" name="act" value="speed";
                    label { "Speed" input #speed type="number" name="speed" min="0" max="3600" step="any" value=(shot.speed) required; }
                    button { "Set" }
                }
                form method="post" action="/_sim/do" {
                    (shot.place())
                    input type="hidden" name="act" value="advance";
                    label { "Push forward" select #seconds name="seconds" {
                        option value="60" { "1 minute" }
                        option value="300" { "5 minutes" }
                        option value="3600" { "1 hour" }
                        option value="86400" { "1 day" }
                    } }
                    button { "Push" }
                }
            }
        }
    }
}

/// The deployments that are not over, and who must say something about them.
fn waiting(shot: &Snapshot) -> Markup {
    let over = ["Succeeded", "Failed", "Stopped"];
    let moving: Vec<&Value> = shot
        .report
        .get("deployments")
        .as_list()
        .iter()
        .filter(|one| !over.contains(&text(one, "status")))
        .filter(|one| {
            shot.wants(&[
                text(one, "service"),
                text(one, "group"),
                text(one, "deploymentId"),
            ])
        })
        .collect();
    let of_ecs: Vec<&Value> = shot
        .report
        .get("serviceDeployments")
        .as_list()
        .iter()
        .filter(|one| {
            shot.wants(&[
                text(one, "service"),
                text(one, "cluster"),
                text(one, "serviceDeploymentArn"),
            ])
        })
        .collect();
    let count = moving.len() + of_ecs.len();
    html! {
        h2 { "Deployments under way (" (count) ")" }
        @if count == 0 { p .quiet { "Nothing moves." } }
        @else {
            ul .list {
                @for one in moving.iter().take(SHOWN) { li { (deployment(shot, one)) } }
                @for one in of_ecs.iter().take(SHOWN.saturating_sub(moving.len())) {
                    li { (service_deployment(shot, one)) }
                }
            }
            (rest(count))
        }
    }
}

fn rest(count: usize) -> Markup {
    html! {
        @if count > SHOWN {
            p .quiet { (count - SHOWN) " more are not shown; “Names with” finds them." }
        }
    }
}

fn deployment(shot: &Snapshot, one: &Value) -> Markup {
    let id = text(one, "deploymentId");
    let status = text(one, "status");
    let rollback = text(one, "creator") == "codeDeployRollback";
    let stage = one
        .get("lifecycleEvents")
        .as_list()
        .iter()
        .find(|event| text(event, "status") == "InProgress")
        .map(|event| text(event, "lifecycleEventName"));
    html! {
        div .row.spread {
            div {
                strong { (text(one, "service")) } " "
                span .id { (id) } " "
                span .state .warn[status == "Ready"] { (status) }
                @if let Some(stage) = stage { ": " (stage) }
                @if rollback { " " span .warn { "(a rollback)" } }
            }
            div .row {
                @if status == "Ready" { (shot.button("reroute", "Reroute traffic", "", &[("deployment", id)])) }
                // A rollback cannot be stopped.
                @if !rollback {
                    (shot.button("stop", "Stop and roll back", "", &[("deployment", id), ("rollback", "1")]))
                    (shot.button("stop", "Stop", "", &[("deployment", id)]))
                }
            }
        }
        @for hook in one.get("pendingHooks").as_list() {
            @let execution = text(hook, "executionId");
            @let begun = !execution.is_empty();
            div .row.spread {
                p {
                    span .warn.state { @if begun { "Hook waits" } @else { "Hook does not begin" } }
                    " at " (text(hook, "event")) " for " code { (text(hook, "function")) }
                    (fuse(shot, hook.get("failsAt"), "fails"))
                }
                @if begun {
                    div .row {
                        (shot.button("hook", "Succeeded", "good", &[("deployment", id), ("execution", execution), ("status", "Succeeded")]))
                        (shot.button("hook", "Failed", "bad", &[("deployment", id), ("execution", execution), ("status", "Failed")]))
                    }
                }
            }
        }
    }
}

/// How long something still waits, and what it does then.
fn fuse(shot: &Snapshot, at: &Value, does: &str) -> Markup {
    html! {
        @if let Some(at) = at.as_time_ms() { ", " (does) " in " (span(at - shot.now_ms)) }
    }
}

/// A deployment of ECS itself, with the hooks that it waits for.
fn service_deployment(shot: &Snapshot, one: &Value) -> Markup {
    let arn = text(one, "serviceDeploymentArn");
    let stops = matches!(text(one, "status"), "PENDING" | "IN_PROGRESS");
    html! {
        div .row.spread {
            div {
                strong { (text(one, "service")) } " "
                span .id { (tail(arn)) } " "
                span .quiet { (text(one, "strategy")) } " "
                span .state .warn[text(one, "status").starts_with("ROLLBACK")] { (text(one, "status")) }
                @if let Some(stage) = one.get("lifecycleStage").as_str() { ": " (stage) }
            }
            @if stops {
                div .row { (shot.button("stop-service-deployment", "Stop and roll back", "", &[("arn", arn)])) }
            }
        }
        @for hook in one.get("pendingHooks").as_list() {
            @let id = text(hook, "hookId");
            @let pause = text(hook, "targetType") == "PAUSE";
            @let does = if hook.get("continues").as_bool() == Some(true) { "continues" } else { "rolls back" };
            div .row.spread {
                p {
                    span .warn.state { @if pause { "Pause" } @else { "Hook waits" } }
                    " at " (text(hook, "stage"))
                    @if let Some(target) = hook.get("targetArn").as_str() { " for " code { (target) } }
                    (fuse(shot, hook.get("endsAt"), does))
                }
                @if pause {
                    div .row {
                        (shot.button("pause", "Continue", "good", &[("arn", arn), ("hook", id), ("action", "CONTINUE")]))
                        (shot.button("pause", "Roll back", "bad", &[("arn", arn), ("hook", id), ("action", "ROLLBACK")]))
                    }
                }
            }
        }
    }
}

fn services(shot: &Snapshot) -> Markup {
    let all = shot.report.get("services").as_list();
    let found: Vec<&Value> = all
        .iter()
        .filter(|one| shot.wants(&[text(one, "name"), text(one, "cluster")]))
        .collect();
    let (shares, disturbed) = (shot.shares(), shot.disturbed());
    html! {
        h2 { "Services (" (found.len()) ")" }
        @if all.is_empty() { p .quiet { "There is none in this account and region." } }
        div .cards {
            @for one in found.iter().take(SHOWN) { (service(shot, one, &shares, &disturbed)) }
        }
        (rest(found.len()))
    }
}

fn service(
    shot: &Snapshot,
    one: &Value,
    shares: &BTreeMap<&str, Vec<(i64, f64)>>,
    disturbed: &BTreeMap<&str, f64>,
) -> Markup {
    let (name, cluster) = (text(one, "name"), text(one, "cluster"));
    let sets = one.get("taskSets").as_list();
    let primary = sets
        .iter()
        .find(|set| text(set, "status") == "PRIMARY")
        .map(|set| text(set, "taskDefinition"));
    let current = primary.unwrap_or_else(|| text(one, "taskDefinition"));
    let mut revisions: Vec<&str> = sets.iter().map(|set| text(set, "taskDefinition")).collect();
    revisions.dedup();
    html! {
        section .card {
            h3 { (name) }
            p .quiet { (cluster) " · " (text(one, "controller")) " · " (counted(number(one, "desired"), "task")) " wanted" }
            table .sets {
                thead { tr { th scope="col" { "Revision" } th scope="col" { "Tasks" } th scope="col" { "Traffic" } } }
                tbody {
                    @for set in sets {
                        tr {
                            td {
                                (tail(text(set, "taskDefinition"))) br;
                                span .quiet { (text(set, "status").to_lowercase()) }
                            }
                            td {
                                (number(set, "running")) " of " (number(set, "wanted"))
                                @if number(set, "pending") > 0 { br; span .quiet { (number(set, "pending")) " starting" } }
                            }
                            td {
                                @for (port, share) in shares.get(text(set, "targetGroup")).into_iter().flatten() {
                                    div {
                                        meter min="0" max="1" value=(share) aria-label={ "Share of port " (port) } {}
                                        (percent(*share)) span .quiet { " of :" (port) }
                                    }
                                }
                            }
                        }
                        @if let Some(rate) = disturbed.get(text(set, "taskDefinition")) {
                            tr { td colspan="3" {
                                span .bad { "Fails " (percent(*rate)) " of its requests. " }
                                (shot.button("errors", "Mend it", "", &[("task_definition", text(set, "taskDefinition"))]))
                            } }
                        }
                    }
                }
            }
            details id={ "break-" (anchor(cluster)) "-" (anchor(name)) } {
                summary { "Break it" }
                div .break {
                    (errors(shot, &revisions))
                    div .row {
                        (shot.button("kill", "Kill one task", "bad", &[("cluster", cluster), ("service", name)]))
                        (shot.button("kill", "Kill all tasks", "bad", &[("cluster", cluster), ("service", name), ("all", "1")]))
                    }
                    (terraform(shot, cluster, name, current))
                }
            }
        }
    }
}

/// A name as part of an id: whatever is no letter or digit is written as its code point.
fn anchor(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' => c.to_string(),
            other => format!("_{:x}", u32::from(other)),
        })
        .collect()
}

fn errors(shot: &Snapshot, revisions: &[&str]) -> Markup {
    html! {
        form method="post" action="/_sim/do" {
            (shot.place())
            input type="hidden" name="act" value="errors";
            label { "Send errors from"
                select name="task_definition" {
                    @for arn in revisions.iter().rev() { option value=(arn) { (tail(arn)) } }
                }
            }
            label { "Share"
                select name="error_rate" {
                    option value="0.05" { "5 %" }
                    option value="0.3" selected { "30 %" }
                    option value="1" { "100 %" }
                }
            }
            button .bad { "Send errors" }
        }
    }
}

fn terraform(shot: &Snapshot, cluster: &str, service: &str, current: &str) -> Markup {
    let (family, revision) = tail(current).rsplit_once(':').unwrap_or((current, ""));
    let fields = html! {
        (shot.place())
        input type="hidden" name="act" value="apply";
        input type="hidden" name="cluster" value=(cluster);
        input type="hidden" name="service" value=(service);
    };
    html! {
        form method="post" action="/_sim/do" {
            (fields)
            input type="hidden" name="family" value=(family);
            label { "Terraform applies revision"
                input type="number" name="revision" min="1" value=(revision) required;
            }
            button .bad { "Apply" }
        }
        form method="post" action="/_sim/do" {
            (fields)
            input type="hidden" name="current" value=(current);
            label { "Terraform applies a new image tag"
                input type="text" name="tag" placeholder="v2-bad fails" required maxlength="128";
            }
            button .bad { "Apply" }
        }
    }
}

fn alarms(shot: &Snapshot) -> Markup {
    let list = shot.report.get("cloudwatch").get("Alarms").as_list();
    let mut found: Vec<&Value> = list
        .iter()
        .filter(|alarm| shot.wants(&[text(alarm, "AlarmName")]))
        .collect();
    found.sort_by_key(|alarm| text(alarm, "StateValue") != "ALARM");
    html! {
        h2 { "Alarms (" (found.len()) ")" }
        @if found.is_empty() { p .quiet { "There is none." } }
        @else {
            ul .list {
                @for alarm in found.iter().take(SHOWN) {
                    @let (name, state) = (text(alarm, "AlarmName"), text(alarm, "StateValue"));
                    li {
                        div .row.spread {
                            div {
                                (name) " "
                                span .state .bad[state == "ALARM"] .good[state == "OK"] { (state) }
                                p .quiet { (text(alarm, "StateReason")) }
                            }
                            @if state == "ALARM" {
                                (shot.button("alarm", "Release it", "", &[("alarm", name), ("state", "OK")]))
                            } @else {
                                (shot.button("alarm", "Fire it", "bad", &[("alarm", name), ("state", "ALARM")]))
                            }
                        }
                    }
                }
            }
            (rest(found.len()))
        }
    }
}

/// A kind of fault by the name it has on the wire.
fn kind(kind: FaultKind) -> String {
    let name = serde_json::to_value(kind).ok();
    let name = name.as_ref().and_then(serde_json::Value::as_str);
    name.unwrap_or_default().to_string()
}

fn faults(shot: &Snapshot) -> Markup {
    const SERVICES: [&str; 9] = [
        "codedeploy",
        "dynamodb",
        "ecs",
        "elasticloadbalancing",
        "events",
        "monitoring",
        "s3",
        "sqs",
        "sts",
    ];
    const KINDS: [(&str, &str); 14] = [
        ("throttle", "throttled"),
        ("access_denied", "not allowed"),
        ("error_before", "500, not done"),
        ("error_after", "500, but done"),
        ("response_lost", "done, answer lost"),
        ("connection_cut", "connection cut"),
        ("slow", "answered late"),
        ("stale", "reads are stale"),
        ("throttle_as_aws", "throttled as AWS does"),
        ("hook_silent", "hook never posted"),
        ("event_lost", "event lost"),
        ("event_duplicated", "event twice"),
        ("event_late", "event late"),
        ("event_out_of_order", "event overtaken"),
    ];
    html! {
        h2 { "Faults (" (shot.faults.len()) ")" }
        @if !shot.faults.is_empty() {
            ul .list {
                @for fault in &shot.faults {
                    li .row.spread {
                        span {
                            strong { (kind(fault.fault.fault)) } ": "
                            (fault.fault.service.as_deref().unwrap_or("every service")) " "
                            (fault.fault.operation.as_deref().unwrap_or("every operation"))
                            @if let Some(every) = fault.fault.every { ", each " (every) ". call" }
                            @if let Some(times) = fault.fault.times { ", at most " (times) " times" }
                            span .quiet { " · struck " (fault.fired) " of " (fault.matched) }
                        }
                        (shot.button("unfault", "Remove", "", &[("id", &fault.id.to_string())]))
                    }
                }
            }
        }
        p {
            form method="post" action="/_sim/do" {
                (shot.place())
                input type="hidden" name="act" value="fault";
                label { "What goes wrong" select name="fault" {
                    @for (name, meaning) in KINDS { option value=(name) { (meaning) } }
                } }
                label { "Service" select name="service" {
                    option value="" { "all" }
                    @for service in SERVICES { option { (service) } }
                } }
                label { "Operation, event or hook" input type="text" name="operation" placeholder="all"; }
                label { "Each N-th call" input type="number" name="every" min="1" placeholder="1"; }
                label { "At most" input type="number" name="times" min="1" placeholder="no end"; }
                button { "Add" }
            }
        }
        p {
            form method="post" action="/_sim/do" {
                (shot.place())
                input type="hidden" name="act" value="behaviour";
                label { "Hook function" input type="text" name="function" required; }
                label { "from now on" select name="behaves" {
                    option value="succeed" { "succeeds" }
                    option value="fail" { "fails" }
                    option value="silent" { "says nothing" }
                    option value="succeed-after-300" { "succeeds after 5 minutes" }
                    option value="relay" { "goes to the relay" }
                } }
                button { "Set" }
            }
        }
    }
}

fn journal(shot: &Snapshot) -> Markup {
    html! {
        h2 { "Journal (" (shot.calls) " calls that change something, all accounts, latest first)" }
        ul .list.journal {
            @for entry in &shot.journal {
                li {
                    details id={ "call-" (anchor(&entry.request_id)) } {
                        summary {
                            span .quiet { (entry.at.get(11..19).unwrap_or(&entry.at)) } " "
                            strong { (entry.operation) } " by " (tail(&entry.caller))
                            @if let Some(error) = &entry.error { " " span .bad { (error) } }
                            @if let Some(fault) = entry.fault { " " span .warn { "(fault: " (kind(fault)) ")" } }
                        }
                        @if let Some(message) = &entry.error_message { p .bad { (message) } }
                        p .quiet { (entry.at) " · " (entry.service) " · " code { (entry.caller) } }
                        pre { (format!("{:#}", entry.parameters)) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::world::structure;

    /// A snapshot in which every text that a caller can choose is `name`.
    fn named(name: &str) -> Snapshot {
        let set = structure! {
            "status": "PRIMARY", "taskDefinition": name, "targetGroup": name,
            "running": 1_i64, "wanted": 1_i64, "pending": 1_i64,
        };
        let service = structure! {
            "name": name, "cluster": name, "controller": "ECS", "desired": 1_i64,
            "taskSets": vec![set],
        };
        let weight = structure! { "targetGroup": name, "weight": 1_i64 };
        let listener = structure! { "port": 80_i64, "weights": vec![weight] };
        let event = structure! { "lifecycleEventName": name, "status": "InProgress" };
        let hook = structure! { "event": name, "function": name, "executionId": name };
        let deployment = structure! {
            "deploymentId": name, "service": name, "group": name, "status": "InProgress",
            "lifecycleEvents": vec![event], "pendingHooks": vec![hook],
        };
        let pause = structure! {
            "hookId": name, "targetType": "PAUSE", "stage": name, "targetArn": name,
            "timeoutAction": name,
        };
        let native = structure! {
            "serviceDeploymentArn": name, "service": name, "cluster": name, "strategy": name,
            "status": "IN_PROGRESS", "lifecycleStage": name, "pendingHooks": vec![pause],
        };
        let alarm = structure! { "AlarmName": name, "StateValue": "ALARM", "StateReason": name };
        let disturbed = structure! { "taskDefinition": name, "errorRate": 0.5 };
        Snapshot {
            now_ms: 0,
            speed: 1.0,
            places: vec![(name.to_string(), name.to_string())],
            account: name.to_string(),
            region: name.to_string(),
            wanted: String::new(),
            said: Some(name.to_string()),
            report: structure! {
                "services": vec![service],
                "listeners": vec![listener],
                "deployments": vec![deployment],
                "serviceDeployments": vec![native],
                "disturbed": vec![disturbed],
                "cloudwatch": structure! { "Alarms": vec![alarm] },
            },
            faults: Vec::new(),
            journal: vec![JournalEntry {
                at: name.to_string(),
                service: name.to_string(),
                operation: name.to_string(),
                parameters: serde_json::json!({ name: name }),
                request_id: name.to_string(),
                error: Some(name.to_string()),
                error_message: Some(name.to_string()),
                fault: None,
                caller: name.to_string(),
            }],
            calls: 1,
        }
    }

    /// The page's tags with their attributes' names, and without any text or value. The values are quoted,
    /// so a quotation mark that got through would change the names.
    fn skeleton(page: &str) -> Vec<String> {
        let mut tags = Vec::new();
        let mut rest = page;
        while let Some(start) = rest.find('<') {
            let (mut tag, mut quoted) = (String::new(), false);
            let mut end = rest.len();
            for (at, c) in rest[start..].char_indices() {
                match c {
                    '"' => quoted = !quoted,
                    '>' if !quoted => {
                        end = start + at + 1;
                        break;
                    }
                    _ if !quoted => tag.push(c),
                    _ => {}
                }
            }
            tags.push(tag);
            rest = &rest[end..];
        }
        tags
    }

    proptest! {
        #[test]
        fn no_name_becomes_markup(hostile in "[<>&\"'/= a-z]{1,12}|<script>x</script>|\" onclick=\"x|</title><b>") {
            let expected = skeleton(&page(&named("plain")).into_string());
            prop_assert_eq!(skeleton(&page(&named(&hostile)).into_string()), expected);
        }
    }

    #[test]
    fn spans_are_told_in_two_units() {
        for (ms, told) in [
            (-5, "0 s"),
            (59_999, "59 s"),
            (61_000, "1 min 1 s"),
            (3_600_000, "1 h 0 min"),
            (118_000_000, "1 day 8 h"),
            (200_000_000, "2 days 7 h"),
        ] {
            assert_eq!(span(ms), told);
        }
    }
}
