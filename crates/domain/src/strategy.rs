//! How a deployment configuration moves traffic, in words, from the name AWS gives it (aws.md §1.9).

/// How traffic moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// All at once.
    AllAtOnce,
    /// One first step, a wait, then the rest.
    Canary {
        /// The first step, in per cent.
        percent: u32,
        /// The wait, in minutes.
        minutes: u32,
    },
    /// Equal steps at equal intervals.
    Linear {
        /// Each step, in per cent.
        percent: u32,
        /// The interval, in minutes.
        minutes: u32,
    },
    /// A custom configuration whose name does not say.
    Custom,
}

/// Reads a predefined configuration's name. Custom names are never guessed at.
pub fn strategy(config_name: &str) -> Strategy {
    let Some(name) = config_name.strip_prefix("CodeDeployDefault.ECS") else {
        return Strategy::Custom;
    };
    if name == "AllAtOnce" {
        return Strategy::AllAtOnce;
    }
    let numbers = |rest: &str, middle: &str| -> Option<(u32, u32)> {
        let (percent, minutes) = rest.strip_suffix("Minutes")?.split_once(middle)?;
        Some((percent.parse().ok()?, minutes.parse().ok()?))
    };
    if let Some((percent, minutes)) = name
        .strip_prefix("Canary")
        .and_then(|rest| numbers(rest, "Percent"))
    {
        Strategy::Canary { percent, minutes }
    } else if let Some((percent, minutes)) = name
        .strip_prefix("Linear")
        .and_then(|rest| numbers(rest, "PercentEvery"))
    {
        Strategy::Linear { percent, minutes }
    } else {
        Strategy::Custom
    }
}

/// What happens to production traffic once it may move: a sentence about `revision`.
pub fn traffic_words(config_name: &str, revision: &str) -> String {
    match strategy(config_name) {
        Strategy::AllAtOnce => format!("All production traffic moves to {revision} at once."),
        Strategy::Canary { percent, minutes } => format!(
            "{percent} % of production traffic moves to {revision}, the rest after {minutes} min."
        ),
        Strategy::Linear { percent, minutes } => format!(
            "Production traffic moves to {revision} in steps of {percent} % every {minutes} min."
        ),
        Strategy::Custom => {
            format!("Production traffic moves to {revision} as {config_name} says.")
        }
    }
}

/// The strategy in a table cell: `Canary 10 %, 5 min`; a custom configuration by its name.
pub fn strategy_words(config_name: &str) -> String {
    match strategy(config_name) {
        Strategy::AllAtOnce => "All at once".to_string(),
        Strategy::Canary { percent, minutes } => {
            format!("Canary {percent}\u{a0}%, {minutes}\u{a0}min")
        }
        Strategy::Linear { percent, minutes } => {
            format!("Linear {percent}\u{a0}% every {minutes}\u{a0}min")
        }
        Strategy::Custom => match config_name {
            // The strategies of the controller ECS.
            "rolling" => "Rolling".to_string(),
            "blue-green" => "Blue/green".to_string(),
            "linear" => "Linear".to_string(),
            "canary" => "Canary".to_string(),
            other => other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predefined_names_are_read_and_custom_ones_are_not_guessed_at() {
        for (name, expected) in [
            ("CodeDeployDefault.ECSAllAtOnce", Strategy::AllAtOnce),
            (
                "CodeDeployDefault.ECSCanary10Percent5Minutes",
                Strategy::Canary {
                    percent: 10,
                    minutes: 5,
                },
            ),
            (
                "CodeDeployDefault.ECSLinear10PercentEvery3Minutes",
                Strategy::Linear {
                    percent: 10,
                    minutes: 3,
                },
            ),
            ("ECSCanary10Percent5Minutes", Strategy::Custom),
            (
                "CodeDeployDefault.ECSCanaryXPercent5Minutes",
                Strategy::Custom,
            ),
            ("", Strategy::Custom),
        ] {
            assert_eq!(strategy(name), expected, "{name}");
        }
        assert_eq!(
            traffic_words("CodeDeployDefault.ECSCanary10Percent5Minutes", ":8"),
            "10 % of production traffic moves to :8, the rest after 5 min."
        );
    }
}
