//! Records as views: what the contract promises, from what the store keeps.

use crate::LedgerState;
use crate::watch::percent;
use serde_json::Value;
use switchback_contract::AlarmView;
use switchback_contract::AuditView;
use switchback_contract::DecisionView;
use switchback_contract::DeploymentView;
use switchback_contract::EcsView;
use switchback_contract::GateView;
use switchback_contract::ImageView;
use switchback_contract::OperationView;
use switchback_contract::PlanView;
use switchback_contract::Proof;
use switchback_contract::RevisionView;
use switchback_contract::ServedView;
use switchback_contract::ServiceView;
use switchback_contract::TaskCounts;
use switchback_contract::TimelineEntry;
use switchback_contract::WeightStep;
use switchback_domain::deployment::Outcome;
use switchback_domain::deployment::StageStatus;
use switchback_domain::diff::Difference;
use switchback_domain::ecs::CLEAN_UP;
use switchback_domain::ecs::EcsReading;
use switchback_domain::ecs::EcsStrategy;
use switchback_domain::gate::GateKind;
use switchback_domain::gate::GateState;
use switchback_domain::gate::Verdict;
use switchback_domain::moment::Moment;
use switchback_domain::plan::ActiveDeployment;
use switchback_domain::plan::Plan;
use switchback_domain::plan::PlanFacts;
use switchback_domain::plan::answer_pause;
use switchback_domain::plan::expectation_basis;
use switchback_domain::plan::hook_answer;
use switchback_domain::plan::pause_rejection_consequences;
use switchback_domain::plan::rejection_consequences;
use switchback_domain::revision::ContainerImage;
use switchback_domain::revision::Revision;
use switchback_domain::revision::RevisionArn;
use switchback_domain::revision::RevisionStatus;
use switchback_domain::service::Service;
use switchback_domain::strategy::traffic_words;
use switchback_store::records::AuditRecord;
use switchback_store::records::DecisionRecord;
use switchback_store::records::DeploymentRecord;
use switchback_store::records::GateRecord;
use switchback_store::records::OperationRecord;
use switchback_store::records::ServedRecord;
use switchback_store::records::TimelineRecord;

pub(crate) fn deployment(record: &DeploymentRecord) -> DeploymentView {
    DeploymentView {
        id: record.id.to_string(),
        aws_id: record.aws_id.clone(),
        service: record.service_name.clone(),
        service_id: record.service_id.to_string(),
        cluster: record.cluster.clone(),
        account: record.account.clone(),
        account_name: None,
        region: record.region.clone(),
        controller: record.controller.clone(),
        strategy: record.strategy.clone(),
        previous_revision: record
            .previous_revision
            .as_ref()
            .map(RevisionArn::to_string),
        previous_revision_from: record
            .previous_evidence
            .map(|evidence| evidence.word().to_string()),
        previous_unknown_because: record.sight.previous_unknown,
        first_seen: record.sight.first_seen,
        target_revision: record.target_revision.as_ref().map(RevisionArn::to_string),
        phase: record.standing.phase,
        outcome: record.standing.outcome,
        outcome_cause: record.standing.cause,
        outcome_detail: record.outcome_detail.clone(),
        initiator: record.initiator.clone(),
        reason: record.reason.clone(),
        started_at: record.started_at,
        ended_at: record.ended_at,
        rollback_of: record.rollback_of.as_ref().map(ToString::to_string),
        rolled_back_by: record.rolled_back_by.as_ref().map(ToString::to_string),
        share_new: record.share_new_permille.map(|share| share as f64 / 1000.0),
        tasks: record.reading.ecs.as_ref().map(task_counts),
    }
}

fn task_counts(ecs: &EcsReading) -> TaskCounts {
    // While it is rolled back, nothing of the new is wanted any more; the band is of the service.
    let wanted_of_old: i64 = ecs.sources.iter().map(|side| side.requested).sum();
    let wanted = ecs.target.requested.max(wanted_of_old);
    let rolling = ecs.configuration.strategy == EcsStrategy::Rolling;
    let least = ecs
        .configuration
        .minimum_healthy_percent
        .filter(|_| rolling);
    let most = ecs.configuration.maximum_percent.filter(|_| rolling);
    TaskCounts {
        new_running: ecs.target.running,
        new_wanted: ecs.target.requested,
        old_running: ecs.old_running(),
        // ECS rounds the least up and the most down. [M: DeploymentConfiguration]
        least: least.map(|percent| (wanted * percent + 99) / 100),
        most: most.map(|percent| wanted * percent / 100),
    }
}

/// What only a deployment of ECS itself has.
pub(crate) fn ecs(record: &DeploymentRecord) -> Option<EcsView> {
    let ecs = record.reading.ecs.as_ref()?;
    Some(EcsView {
        strategy: ecs.configuration.words(),
        is_rolling: ecs.configuration.strategy == EcsStrategy::Rolling,
        stage: ecs.stage.clone(),
        breaker: ecs.breaker,
        breaker_is_open: ecs.breaker_open,
        images: ecs.target.images.iter().cloned().map(image).collect(),
    })
}

fn image(image: ContainerImage) -> ImageView {
    ImageView {
        container: image.container,
        image: image.image,
        digest: image.digest,
    }
}

/// What is needed of a deployment to plan about it.
pub(crate) fn active(record: &DeploymentRecord, gates: &[GateRecord]) -> ActiveDeployment {
    ActiveDeployment {
        id: record.id.clone(),
        aws_id: record.aws_id.clone(),
        previous: record.previous_revision.clone(),
        target: record.target_revision.clone(),
        open_gate: gates
            .iter()
            .find(|gate| {
                let answered_by_a_call = match gate.kind {
                    GateKind::CodedeployHook | GateKind::EcsPause => true,
                    GateKind::CodedeployReadyWait | GateKind::EcsHook => false,
                };
                gate.state == GateState::Open && answered_by_a_call
            })
            .map(|gate| (gate.id.clone(), gate.wait.clone())),
        is_rollback: record.reading.rolls_back.is_some(),
        ecs_status: record.reading.ecs.as_ref().map(|ecs| ecs.status),
        is_cleaning_up: record
            .reading
            .ecs
            .as_ref()
            .is_some_and(|ecs| ecs.stage.as_deref() == Some(CLEAN_UP)),
    }
}

pub(crate) fn gate(
    gate: &GateRecord,
    record: &DeploymentRecord,
    service: &Service,
    decisions: &[DecisionRecord],
    may_not_decide: Option<String>,
) -> GateView {
    let short = |arn: &Option<RevisionArn>, other: &str| {
        arn.as_ref()
            .map_or(other.to_string(), |arn| arn.short().to_string())
    };
    let new = short(&record.target_revision, "the new revision");
    let old = short(&record.previous_revision, "what served before");
    let on_reject = match gate.kind {
        GateKind::CodedeployReadyWait => vec![
            "Switchback stops the deployment and CodeDeploy rolls it back.".to_string(),
            format!("Production traffic stays on {old}; the tasks of {new} are removed."),
        ],
        GateKind::CodedeployHook => rejection_consequences(service, &old, &active(record, &[])),
        GateKind::EcsPause | GateKind::EcsHook => pause_rejection_consequences(
            record.reading.ecs.as_ref().map(|ecs| &ecs.configuration),
            &old,
            &new,
        ),
    };
    let on_nothing = match (gate.kind, gate.policy.at_expiry) {
        (GateKind::EcsPause | GateKind::EcsHook, Verdict::Reject) => format!(
            "At {} UTC ECS rolls the deployment back by itself, as the hook is set up.",
            gate.expires_at.clock_time()
        ),
        (GateKind::EcsPause | GateKind::EcsHook, Verdict::Approve) => format!(
            "At {} UTC ECS lets the deployment go on by itself, as the hook is set up.",
            gate.expires_at.clock_time()
        ),
        (GateKind::CodedeployHook | GateKind::CodedeployReadyWait, at_expiry) => {
            let answer = match at_expiry {
                Verdict::Reject => "rejects",
                Verdict::Approve => "approves",
            };
            format!(
                "At {} UTC Switchback {answer} by policy. Without Switchback, CodeDeploy fails the deployment at {} UTC.",
                gate.expires_at.clock_time(),
                gate.wall_at.clock_time()
            )
        }
    };
    let call = |verdict| match gate.kind {
        GateKind::CodedeployHook => Some(hook_answer(
            service,
            &gate.deployment_aws_id,
            &gate.wait,
            verdict,
        )),
        GateKind::EcsPause => Some(answer_pause(
            &record.region,
            &gate.deployment_aws_id,
            &gate.wait,
            verdict,
        )),
        // The answer to a hook's function is no call.
        GateKind::CodedeployReadyWait | GateKind::EcsHook => None,
    };
    GateView {
        id: gate.id.to_string(),
        deployment_id: gate.deployment_id.to_string(),
        kind: gate.kind,
        stage: gate.stage.clone(),
        state: gate.state,
        opened_at: gate.opened_at,
        expires_at: gate.expires_at,
        wall_at: gate.wall_at,
        at_expiry: gate.policy.at_expiry,
        evidence_digest: gate.evidence_digest.to_string(),
        decisions: decisions
            .iter()
            .map(|decision| DecisionView {
                actor: decision.actor.clone(),
                verdict: decision.verdict,
                reason: decision.reason.clone(),
                at: decision.at,
            })
            .collect(),
        delivery: gate.delivery,
        delivery_detail: gate.delivery_detail.clone(),
        required_approvals: gate.policy.required_approvals,
        deployment: deployment(record),
        on_approve: approval_words(gate, record, &new, &old),
        on_reject,
        on_nothing,
        approve_call: call(Verdict::Approve),
        reject_call: call(Verdict::Reject),
        may_not_decide,
    }
}

fn approval_words(
    gate: &GateRecord,
    record: &DeploymentRecord,
    new: &str,
    old: &str,
) -> Vec<String> {
    let traffic = || traffic_words(&record.strategy, new);
    match gate.stage.as_str() {
        "BeforeInstall" => vec![format!("Tasks of {new} start. No traffic moves yet.")],
        "AfterInstall" => vec![
            format!("{new} becomes reachable by the test listener, if there is one."),
            traffic(),
        ],
        "AfterAllowTestTraffic" | "BeforeAllowTraffic" | "Ready" => vec![traffic()],
        "AfterAllowTraffic" => vec![format!(
            "The deployment goes on to its termination wait; then the tasks of {old} are removed."
        )],
        // What follows the last stage before traffic moves; at the others, what that stage has done already.
        "POST_TEST_TRAFFIC_SHIFT" | "PRE_PRODUCTION_TRAFFIC_SHIFT" => {
            let next = record
                .reading
                .ecs
                .as_ref()
                .and_then(EcsReading::next_share_permille);
            vec![match next {
                Some(permille) => format!(
                    "The next shift brings {new} {} % of production traffic.",
                    percent(permille)
                ),
                None => format!("Production traffic moves to {new}."),
            }]
        }
        "POST_PRODUCTION_TRAFFIC_SHIFT" => {
            vec![format!(
                "The deployment bakes; then the tasks of {old} are removed."
            )]
        }
        "PRE_SCALE_UP" => vec![format!("Tasks of {new} start. No traffic moves yet.")],
        "POST_SCALE_UP" => vec![format!(
            "{new} becomes reachable by test traffic, where it is set up."
        )],
        other => vec![format!("The deployment goes on after {other}.")],
    }
}

pub(crate) fn operation(record: &OperationRecord) -> OperationView {
    OperationView {
        id: record.id.to_string(),
        kind: record.kind,
        service_id: record.service_id.to_string(),
        target: record.target_revision.as_ref().map(RevisionArn::to_string),
        state: record.state,
        detail: record.detail.clone(),
        actor: record.actor.clone(),
        reason: record.reason.clone(),
        created_at: record.created_at,
        deployment_id: record.deployment_id.as_ref().map(ToString::to_string),
    }
}

pub(crate) fn timeline(record: TimelineRecord) -> TimelineEntry {
    TimelineEntry {
        at: record.at,
        kind: record.kind,
        text: record.text,
        by: record.by,
    }
}

/// The share of traffic over time, from the timeline's weight lines.
pub(crate) fn weights(record: &DeploymentRecord, lines: &[TimelineRecord]) -> Vec<WeightStep> {
    let mut steps: Vec<WeightStep> = lines
        .iter()
        .filter(|line| line.kind == "weights")
        .filter_map(|line| {
            let share = line.data["share_new_permille"].as_i64()?;
            Some(WeightStep {
                at: line.at,
                share_new: share as f64 / 1000.0,
            })
        })
        .collect();
    // What carried nothing when it was first seen carried nothing before, since its share only rises to begin with.
    // What was first seen with a share has a gap before that: nobody looked.
    if let Some(first) = steps.first_mut()
        && first.share_new == 0.0
        && record.reading.rolls_back.is_none()
    {
        first.at = record.started_at;
    }
    steps
}

/// The alarms as last read, each with its states since the deployment began.
pub(crate) fn alarms(record: &DeploymentRecord, lines: &[TimelineRecord]) -> Vec<AlarmView> {
    record
        .alarms
        .as_array()
        .into_iter()
        .flatten()
        .map(|alarm| {
            let name = alarm["name"].as_str().unwrap_or_default().to_string();
            let history = lines
                .iter()
                .filter(|line| line.kind == "alarm" && line.data["name"] == alarm["name"])
                .filter_map(|line| Some((line.at, line.data["state"].as_str()?.to_string())))
                .collect();
            AlarmView {
                name,
                state: alarm["state"]
                    .as_str()
                    .unwrap_or("INSUFFICIENT_DATA")
                    .to_string(),
                since: alarm["since"]
                    .as_str()
                    .and_then(|text| Moment::parse(text).ok()),
                threshold: alarm["threshold"].as_f64(),
                history,
            }
        })
        .collect()
}

pub(crate) fn audit(record: AuditRecord) -> AuditView {
    let context = record.entry.context;
    AuditView {
        sequence: record.sequence,
        at: record.entry.at,
        actor: record.entry.actor,
        address: context.address,
        event: record.entry.event.word().to_string(),
        subject: record.entry.event.subject(),
        service_id: context.service.map(|service| service.to_string()),
        reason: record.entry.reason,
        detail: serde_json::to_value(&record.entry.event).unwrap_or(Value::Null),
        policy_digest: context.policy.map(|digest| digest.to_string()),
        evidence_digest: context.evidence.map(|digest| digest.to_string()),
        aws: context.aws,
        hash: record.hash.to_string(),
    }
}

pub(crate) fn plan(
    plan: &Plan,
    facts: &PlanFacts,
    made_at: Moment,
    replaces: Option<&RevisionArn>,
    difference: Option<Difference>,
) -> PlanView {
    PlanView {
        digest: plan.digest.to_string(),
        kind: plan.kind,
        target: plan.target.to_string(),
        preflight: plan.preflight.clone(),
        calls: plan.calls.clone(),
        consequences: plan.consequences.clone(),
        expected_seconds: plan.expected_seconds,
        expected_basis: expectation_basis(plan, facts),
        may_run: plan.may_run(),
        made_at,
        replaces: replaces.map(RevisionArn::to_string),
        difference,
    }
}

/// Everything about a service's revisions that the views need.
pub(crate) struct RevisionFacts<'a> {
    pub(crate) service: &'a Service,
    pub(crate) served: &'a [ServedRecord],
    /// The service's deployments, newest first.
    pub(crate) deployments: &'a [DeploymentRecord],
}

pub(crate) fn revision(revision: &Revision, facts: &RevisionFacts<'_>) -> RevisionView {
    let served: Vec<ServedView> = facts
        .served
        .iter()
        .filter(|served| served.revision == revision.arn && served.share_permille > 0)
        .map(|served| ServedView {
            from: served.from,
            to: served.to,
            share: served.share_permille as f64 / 1000.0,
        })
        .collect();
    let of_it: Vec<&DeploymentRecord> = facts
        .deployments
        .iter()
        .filter(|record| {
            record.target_revision.as_ref() == Some(&revision.arn)
                && record.reading.rolls_back.is_none()
        })
        .collect();
    let undone = of_it.iter().any(|record| was_undone(record));
    let took_all = served.iter().any(|served| served.share >= 1.0);
    let proof = match (undone, took_all) {
        (true, _) => Proof::KnownBad,
        (false, true) => Proof::KnownGood,
        (false, false) => Proof::NotProven,
    };
    let serving = facts.service.serving_revision.as_ref() == Some(&revision.arn);
    let in_progress = facts
        .deployments
        .iter()
        .any(|record| record.standing.outcome == Outcome::InProgress);
    // ECS may be trying something else in vain.
    let moves = in_progress || facts.service.controller.is_left_elsewhere(&revision.arn);
    let cannot_be_chosen = match revision.status {
        RevisionStatus::Inactive | RevisionStatus::DeleteInProgress => {
            Some("It is INACTIVE: AWS would refuse to deploy it.".to_string())
        }
        RevisionStatus::Active | RevisionStatus::Unknown if serving && !moves => {
            Some("It serves now.".to_string())
        }
        RevisionStatus::Active | RevisionStatus::Unknown => None,
    };
    RevisionView {
        arn: revision.arn.to_string(),
        family: revision.arn.family().to_string(),
        number: revision.arn.number(),
        images: images(revision, facts.deployments),
        status: revision.status.word().to_string(),
        registered_at: revision.registered_at,
        registered_by: revision.registered_by.clone(),
        served,
        verdicts: of_it.iter().map(|record| verdict_words(record)).collect(),
        proof,
        serving,
        cannot_be_chosen,
    }
}

/// The images, with the digests that ECS resolved where one of the deployments tells them.
fn images(revision: &Revision, deployments: &[DeploymentRecord]) -> Vec<ImageView> {
    let sides = deployments
        .iter()
        .filter_map(|record| record.reading.ecs.as_ref())
        .flat_map(|ecs| ecs.sources.iter().chain([&ecs.target]))
        .filter(|side| side.revision.as_ref() == Some(&revision.arn));
    let resolved: Vec<&ContainerImage> = sides.flat_map(|side| &side.images).collect();
    let mut images = revision.images();
    for image in &mut images {
        if image.digest.is_none() {
            let same = resolved
                .iter()
                .find(|other| other.container == image.container && other.digest.is_some());
            image.digest = same.and_then(|other| other.digest.clone());
        }
    }
    images.into_iter().map(self::image).collect()
}

/// Whether the deployment was undone, by AWS at once or by somebody later.
pub(crate) fn was_undone(record: &DeploymentRecord) -> bool {
    record.standing.outcome == Outcome::RolledBack || record.rolled_back_by.is_some()
}

fn verdict_words(record: &DeploymentRecord) -> String {
    let mut words = record.standing.outcome.word().replace('_', " ");
    if record.standing.outcome == Outcome::Succeeded && record.rolled_back_by.is_some() {
        words.push_str(", later rolled back");
    }
    match (record.standing.cause, &record.outcome_detail) {
        (Some(switchback_domain::deployment::OutcomeCause::Alarm), Some(detail)) => {
            words.push_str(&format!(": alarm {detail}"))
        }
        (Some(cause), _) => words.push_str(&format!(": {}", cause.word().replace('_', " "))),
        (None, _) => {}
    }
    if record.standing.outcome == Outcome::InProgress
        && let Some(share) = record.share_new_permille
    {
        words.push_str(&format!(", {} % of traffic", percent(share)));
    }
    words
}

pub(crate) fn service(
    service: &Service,
    active: Option<&DeploymentRecord>,
    last: Option<&DeploymentRecord>,
    known_good_count: i64,
) -> ServiceView {
    let group = service.controller.group();
    ServiceView {
        id: service.id.to_string(),
        name: service.name.clone(),
        arn: service.arn.clone(),
        cluster: service.cluster.clone(),
        account: service.account.clone(),
        account_name: None,
        region: service.region.clone(),
        controller: service.controller.word().to_string(),
        strategy: service.controller.strategy().to_string(),
        strategy_detail: service
            .controller
            .ecs()
            .map(|ecs| ecs.configuration.words()),
        serving_revision: service
            .serving_revision
            .as_ref()
            .map(RevisionArn::to_string),
        serving_since: service.serving_since,
        desired_count: service.desired_count,
        running_count: service.running_count,
        observed_at: service.observed_at,
        active_deployment: active.map(deployment),
        last_deployment: last.map(deployment),
        known_good_count,
        application: group.map(|group| group.application.clone()),
        group: group.map(|group| group.group.clone()),
        alarms: service.controller.alarms().to_vec(),
    }
}

/// Seconds from a deployment's start until all traffic was on its target; `None` unless it succeeded.
pub(crate) fn seconds_to_full_traffic(record: &DeploymentRecord) -> Option<i64> {
    if record.standing.outcome != Outcome::Succeeded || record.reading.rolls_back.is_some() {
        return None;
    }
    if record.reading.ecs.is_some() {
        return Some(record.ended_at?.millis_since(record.started_at) / 1000);
    }
    let shifted = record
        .reading
        .stages
        .iter()
        .find(|stage| stage.name == "AllowTraffic" && stage.status == StageStatus::Succeeded)?;
    Some(shifted.ended_at?.millis_since(record.started_at) / 1000)
}

/// How it stands with the ledger, for people.
pub(crate) fn ledger_words(state: Option<&LedgerState>) -> String {
    let Some(state) = state else {
        return "No ledger is kept: a rollback needs this database.".to_string();
    };
    let table = &state.table;
    match (&state.trouble, state.complete_at) {
        (Some(trouble), _) if state.due > 0 => {
            format!("The ledger {table} lacks {}: {trouble}", state.due)
        }
        (Some(trouble), _) => format!("The ledger {table}: {trouble}"),
        (None, _) if state.due > 0 => {
            format!(
                "The ledger {table} is being brought up to date, {} to go.",
                state.due
            )
        }
        (None, Some(_)) => format!("The ledger {table} is complete."),
        (None, None) => format!("The ledger {table} was not reached yet."),
    }
}
