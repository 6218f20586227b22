//! `deploymentConfiguration`: what may be in it, by controller and strategy, and its defaults.
//!
//! * Members, ranges and defaults of `linearConfiguration`, `canaryConfiguration`, hooks and early success: \[M\].
//! * `bakeTimeInMinutes` must be given for BLUE_GREEN: \[M\]; 0..1440: \[O\] Terraform provider.
//! * At most ten PAUSE and ten Lambda hooks; no PAUSE at a traffic shift; the texts of both refusals: \[D\]
//!   pause-lifecycle-hooks, troubleshooting-blue-green.
//! * Our choice: hooks of the ROLLING strategy are refused (that PAUSE works there is known from a single
//!   quote, not at which stages); the texts of refusals that are not in the documentation.

use super::Controller;
use super::circuit_breaker;
use super::operations::bad;
use crate::error::AwsError;
use crate::value::Value;
use crate::world::read::{default, number_within, put, text};

const CODE: &str = "InvalidParameterException";

/// How an ECS deployment moves to its new revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    Rolling,
    BlueGreen,
    Linear,
    Canary,
}

impl Strategy {
    /// The strategy of a deployment configuration.
    pub(crate) fn of(configuration: &Value) -> Strategy {
        match configuration.get("strategy").as_str() {
            Some("BLUE_GREEN") => Strategy::BlueGreen,
            Some("LINEAR") => Strategy::Linear,
            Some("CANARY") => Strategy::Canary,
            _ => Strategy::Rolling,
        }
    }

    /// As AWS names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Strategy::Rolling => "ROLLING",
            Strategy::BlueGreen => "BLUE_GREEN",
            Strategy::Linear => "LINEAR",
            Strategy::Canary => "CANARY",
        }
    }

    /// Whether traffic moves between two groups of tasks, instead of tasks being replaced in place.
    pub(crate) fn is_native(self) -> bool {
        self != Strategy::Rolling
    }
}

/// The configuration that holds after `given` was laid over `current`.
pub(super) fn merge(
    controller: Controller,
    current: &Value,
    given: &Value,
) -> Result<Value, AwsError> {
    let mut value = current.clone();
    for (key, default, most) in [
        ("maximumPercent", 200, 1000),
        ("minimumHealthyPercent", 100, 100),
    ] {
        let before = current.get(key).as_i64().unwrap_or(default);
        let number = number_within(given, key, 0..=most, before, CODE)?;
        put(&mut value, key, number);
    }
    if value.get("maximumPercent").as_i64() <= value.get("minimumHealthyPercent").as_i64() {
        return Err(bad(
            "maximumPercent must be greater than minimumHealthyPercent.",
        ));
    }
    let members = [
        "deploymentCircuitBreaker",
        "alarms",
        "strategy",
        "bakeTimeInMinutes",
        "lifecycleHooks",
        "linearConfiguration",
        "canaryConfiguration",
        "earlySuccessCriteria",
    ];
    if controller != Controller::Ecs {
        for key in members {
            let member = given.get(key);
            let nothing = member.is_null()
                || matches!(member, Value::List(list) if list.is_empty())
                || member.get("enable").as_bool() == Some(false)
                || member.as_str() == Some("ROLLING")
                || member.as_i64() == Some(0);
            if !nothing {
                return Err(bad(format!(
                    "deploymentConfiguration.{key} can only be used with the ECS deployment controller."
                )));
            }
        }
        return Ok(value);
    }
    for key in members {
        if !given.get(key).is_null() {
            put(&mut value, key, given.get(key).clone());
        }
    }
    check_ecs(&mut value, given)?;
    Ok(value)
}

fn check_ecs(value: &mut Value, given: &Value) -> Result<(), AwsError> {
    default(value, "strategy", "ROLLING");
    let name = text(value, "strategy").unwrap_or_default().to_string();
    if !["ROLLING", "BLUE_GREEN", "LINEAR", "CANARY"].contains(&name.as_str()) {
        return Err(bad(format!(
            "Invalid deployment strategy {name}. Valid values are: ROLLING, BLUE_GREEN, LINEAR, CANARY"
        )));
    }
    let strategy = Strategy::of(value);
    circuit_breaker::check(value.get("deploymentCircuitBreaker"))?;
    default(
        value,
        "deploymentCircuitBreaker",
        structure! { "enable": false, "rollback": false },
    );
    if strategy == Strategy::BlueGreen && value.get("bakeTimeInMinutes").is_null() {
        return Err(bad(
            "bakeTimeInMinutes must be specified when using the BLUE_GREEN deployment strategy.",
        ));
    }
    let bake = number_within(value, "bakeTimeInMinutes", 0..=1440, 0, CODE)?;
    put(value, "bakeTimeInMinutes", bake);
    check_alarms(value.get("alarms"))?;
    check_steps(value, given, strategy)?;
    check_early_success(value, given, strategy)?;
    check_hooks(value, given, strategy)
}

fn check_alarms(alarms: &Value) -> Result<(), AwsError> {
    if alarms.is_null() {
        return Ok(());
    }
    for member in ["enable", "rollback"] {
        if alarms.get(member).as_bool().is_none() {
            return Err(bad(format!("alarms.{member} must be specified.")));
        }
    }
    let names = alarms.get("alarmNames").as_list();
    if alarms.get("enable").as_bool() == Some(true) && names.is_empty() {
        return Err(bad(
            "alarms.alarmNames must name at least one alarm when alarms are enabled.",
        ));
    }
    Ok(())
}

fn check_steps(value: &mut Value, given: &Value, strategy: Strategy) -> Result<(), AwsError> {
    let kinds = [
        (
            "linearConfiguration",
            Strategy::Linear,
            "stepPercent",
            3.0,
            10.0,
            "stepBakeTimeInMinutes",
            6,
        ),
        (
            "canaryConfiguration",
            Strategy::Canary,
            "canaryPercent",
            0.1,
            5.0,
            "canaryBakeTimeInMinutes",
            10,
        ),
    ];
    for (key, own, percent_key, least, percent, minutes_key, minutes) in kinds {
        if strategy != own {
            if !given.get(key).is_null() {
                let name = value.get("strategy").as_str().unwrap_or_default();
                return Err(bad(format!(
                    "{key} cannot be used with the {name} deployment strategy."
                )));
            }
            if let Value::Map(map) = value {
                map.remove(key);
            }
            continue;
        }
        let mut member = match value.get(key) {
            Value::Null => Value::map(),
            given => given.clone(),
        };
        default(&mut member, percent_key, percent);
        let number = member.get(percent_key).as_f64().filter(|number| {
            let tenths = number * 10.0;
            (least..=100.0).contains(number) && (tenths - tenths.round()).abs() < 1e-6
        });
        let Some(number) = number else {
            return Err(bad(format!(
                "{percent_key} must be a multiple of 0.1 from {least:.1} to 100.0."
            )));
        };
        put(&mut member, percent_key, number);
        let wait = number_within(&member, minutes_key, 0..=1440, minutes, CODE)?;
        put(&mut member, minutes_key, wait);
        put(value, key, member);
    }
    Ok(())
}

fn check_early_success(
    value: &mut Value,
    given: &Value,
    strategy: Strategy,
) -> Result<(), AwsError> {
    let criteria = value.get("earlySuccessCriteria").clone();
    if criteria.get("enable").as_bool() != Some(true) {
        return Ok(());
    }
    if strategy != Strategy::Rolling {
        if given.get("earlySuccessCriteria").is_null() {
            if let Value::Map(map) = value {
                map.remove("earlySuccessCriteria");
            }
            return Ok(());
        }
        return Err(bad(
            "earlySuccessCriteria can only be used with the ROLLING deployment strategy.",
        ));
    }
    let least = value
        .get("minimumHealthyPercent")
        .as_i64()
        .unwrap_or_default();
    match criteria.get("healthyPercent").as_i64() {
        None => {
            return Err(bad(
                "earlySuccessCriteria.healthyPercent must be specified.",
            ));
        }
        Some(percent) if !(0..=100).contains(&percent) => {
            return Err(bad(
                "earlySuccessCriteria.healthyPercent must be between 0 and 100.",
            ));
        }
        Some(percent) if percent < least => {
            return Err(bad(
                "earlySuccessCriteria.healthyPercent must be greater than or equal to minimumHealthyPercent.",
            ));
        }
        Some(_) => {}
    }
    match text(&criteria, "sourceServiceRevisionCleanup") {
        Some("BLOCKING" | "DEFERRED") => Ok(()),
        _ => Err(bad(
            "earlySuccessCriteria.sourceServiceRevisionCleanup must be one of: BLOCKING, DEFERRED",
        )),
    }
}

const HOOK_STAGES: [&str; 8] = [
    "RECONCILE_SERVICE",
    "PRE_SCALE_UP",
    "POST_SCALE_UP",
    "TEST_TRAFFIC_SHIFT",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRE_PRODUCTION_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
];

/// Where a PAUSE hook may not be.
const NO_PAUSE: [&str; 3] = [
    "RECONCILE_SERVICE",
    "TEST_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
];

fn check_hooks(value: &mut Value, given: &Value, strategy: Strategy) -> Result<(), AwsError> {
    let hooks = value.get("lifecycleHooks").as_list().to_vec();
    if hooks.is_empty() {
        return Ok(());
    }
    if strategy == Strategy::Rolling {
        if given.get("lifecycleHooks").as_list().is_empty() {
            put(value, "lifecycleHooks", Vec::<Value>::new());
            return Ok(());
        }
        return Err(bad(
            "lifecycleHooks of the ROLLING deployment strategy are not simulated.",
        ));
    }
    let (mut pauses, mut functions) = (0, 0);
    for hook in &hooks {
        let stages = hook.get("lifecycleStages").as_list();
        if stages.is_empty() {
            return Err(bad(
                "A lifecycle hook must have at least one lifecycle stage.",
            ));
        }
        let pause = match text(hook, "targetType") {
            None | Some("AWS_LAMBDA") => false,
            Some("PAUSE") => true,
            Some(_) => {
                return Err(bad(
                    "Invalid targetType. Valid values are: AWS_LAMBDA, PAUSE",
                ));
            }
        };
        for stage in stages {
            let stage = stage.as_str().unwrap_or_default();
            if !HOOK_STAGES.contains(&stage) {
                return Err(bad(format!("Invalid lifecycle stage provided: {stage}")));
            }
            if pause && NO_PAUSE.contains(&stage) {
                return Err(bad("Invalid lifecycle stage provided for Pause Hook"));
            }
        }
        if pause {
            pauses += 1;
            for member in ["hookTargetArn", "hookDetails"] {
                if !hook.get(member).is_null() {
                    return Err(bad(format!(
                        "{member} cannot be specified for a PAUSE hook."
                    )));
                }
            }
        } else {
            functions += 1;
            for member in ["hookTargetArn", "roleArn"] {
                if text(hook, member).is_none() {
                    return Err(bad(format!(
                        "{member} must be specified for an AWS_LAMBDA hook."
                    )));
                }
            }
        }
        let timeout = hook.get("timeoutConfiguration");
        number_within(timeout, "timeoutInMinutes", 1..=20_160, 1440, CODE)?;
        if text(timeout, "action").is_some_and(|action| !["ROLLBACK", "CONTINUE"].contains(&action))
        {
            return Err(bad(
                "Invalid timeout action. Valid values are: ROLLBACK, CONTINUE",
            ));
        }
    }
    if pauses > 10 || functions > 10 {
        return Err(bad(
            "A service can have at most 10 pause hooks and 10 Lambda hooks.",
        ));
    }
    Ok(())
}
