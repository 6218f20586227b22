//! AWS's own limits on the rate of calls, as token buckets for each account and region.
//!
//! * ECS: capacity and refill of each class of operations \[D\] `request-throttling`. What ECS does not list is
//!   in no bucket.
//! * CloudWatch: GetMetricData 50 and DescribeAlarms 9 calls a second \[D\]\[M\]; that the capacity is one second's
//!   worth is our choice.
//! * CodeDeploy, Elastic Load Balancing, EventBridge and SQS publish no such numbers, so nothing of theirs is throttled.
//!
//! Buckets fill by simulated time: at speed 60 a client gets sixty times as much through in a second.

use std::collections::BTreeMap;

/// One class: its name, how much the bucket holds, how much comes back in a second.
type Class = (&'static str, f64, f64);

/// The class of an operation, `None` where AWS names no limit.
fn class(service: &str, operation: &str) -> Option<Class> {
    Some(match (service, operation) {
        ("ecs", "DescribeServices" | "ListServices" | "ListServicesByNamespace") => {
            ("service read", 100.0, 20.0)
        }
        ("ecs", "CreateService" | "UpdateService" | "DeleteService") => {
            ("service modify", 50.0, 5.0)
        }
        ("ecs", "ListServiceDeployments" | "DescribeServiceDeployments") => {
            ("service deployment", 50.0, 20.0)
        }
        ("ecs", "DescribeServiceRevisions") => ("service revisions", 50.0, 20.0),
        (
            "ecs",
            "DescribeTaskDefinition" | "ListTaskDefinitions" | "ListTaskDefinitionFamilies",
        ) => ("task definition read", 50.0, 20.0),
        (
            "ecs",
            "RegisterTaskDefinition" | "DeregisterTaskDefinition" | "DeleteTaskDefinitions",
        ) => ("task definition modify", 20.0, 1.0),
        ("ecs", "DescribeClusters" | "ListClusters") => ("cluster read", 50.0, 20.0),
        ("ecs", "DescribeTasks" | "ListTasks") => ("cluster resource read", 100.0, 20.0),
        ("ecs", "ListTagsForResource") => ("tags read", 50.0, 20.0),
        ("monitoring", "GetMetricData") => ("GetMetricData", 50.0, 50.0),
        ("monitoring", "DescribeAlarms") => ("DescribeAlarms", 9.0, 9.0),
        _ => return None,
    })
}

/// What is left in every bucket.
#[derive(Debug, Default)]
pub struct Buckets {
    /// By account, region and class: tokens, and when they were counted.
    left: BTreeMap<(String, String, &'static str), (f64, i64)>,
}

impl Buckets {
    /// Takes a token for a call at `now_ms`; false if there is none. A call without a class is always let through.
    pub fn take(&mut self, place: (&str, &str), call: (&str, &str), now_ms: i64) -> bool {
        let Some((class, most, per_second)) = class(call.0, call.1) else {
            return true;
        };
        let key = (place.0.to_string(), place.1.to_string(), class);
        let (left, counted_ms) = self.left.entry(key).or_insert((most, now_ms));
        let elapsed_s = (now_ms - *counted_ms).max(0) as f64 / 1000.0;
        *left = (*left + elapsed_s * per_second).min(most);
        *counted_ms = now_ms;
        if *left < 1.0 {
            return false;
        }
        *left -= 1.0;
        true
    }

    /// Fills every bucket.
    pub fn fill(&mut self) {
        self.left.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_capacity_and_fills_at_its_rate() {
        // Service and operation, how many pass at once, how many pass after each of the next seconds.
        for (call, burst, rate) in [
            (("ecs", "DescribeServices"), 100, 20),
            (("ecs", "UpdateService"), 50, 5),
            (("ecs", "RegisterTaskDefinition"), 20, 1),
            (("ecs", "ListTasks"), 100, 20),
            (("monitoring", "DescribeAlarms"), 9, 9),
            (("codedeploy", "GetDeployment"), 500, 500),
        ] {
            let mut buckets = Buckets::default();
            let mut passes = |now_ms: i64| {
                let tries = (0..500).filter(|_| buckets.take(("1", "eu"), call, now_ms));
                tries.count()
            };
            assert_eq!(passes(0), burst, "{call:?}");
            assert_eq!(passes(1000), rate, "{call:?}");
            assert_eq!(passes(3_600_000), burst, "{call:?}");
        }
    }

    #[test]
    fn classes_accounts_and_regions_have_buckets_of_their_own() {
        let mut buckets = Buckets::default();
        let modify = ("ecs", "RegisterTaskDefinition");
        while buckets.take(("1", "eu"), modify, 0) {}
        // One class is one bucket for all its operations.
        assert!(!buckets.take(("1", "eu"), ("ecs", "DeregisterTaskDefinition"), 0));
        assert!(buckets.take(("1", "us"), modify, 0));
        assert!(buckets.take(("2", "eu"), modify, 0));
        assert!(buckets.take(("1", "eu"), ("ecs", "DescribeTaskDefinition"), 0));
    }
}
