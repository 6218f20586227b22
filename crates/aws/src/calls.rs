//! Every call that this crate makes to AWS: its name, and whether it changes anything.
//!
//! The list is what the policy documents in `docs/iam/` and the table in the README are held to.

/// What a call may do to the account, and so what a missing answer to it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// It only looks; the SDK repeats it when it fails.
    Read,
    /// It changes something; it is sent exactly once.
    Change,
}

/// One operation of one AWS service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// The IAM action, for example `codedeploy:CreateDeployment`.
    pub(crate) name: &'static str,
    /// What it may do.
    pub(crate) nature: Nature,
}

macro_rules! calls {
    ($($constant:ident = $nature:ident $name:literal;)+) => {
        $(pub(crate) const $constant: Call = Call { name: $name, nature: Nature::$nature };)+

        /// All of them.
        pub(crate) const ALL: &[Call] = &[$($constant),+];
    };
}

/// Whether the IAM action is one of our calls that change something.
pub(crate) fn is_change(action: &str) -> bool {
    ALL.iter()
        .any(|call| call.nature == Nature::Change && call.name == action)
}

/// The call by which the SDK gets the credentials of another account. Not one of [`ALL`]: it is allowed by a document
/// of its own, `docs/iam/assume-role.json`, and made by the SDK alone.
pub(crate) const ASSUME_ROLE: Call = Call {
    name: switchback_cloud::ASSUME_ROLE,
    nature: Nature::Read,
};

calls! {
    GET_CALLER_IDENTITY = Read "sts:GetCallerIdentity";
    LIST_APPLICATIONS = Read "codedeploy:ListApplications";
    LIST_DEPLOYMENT_GROUPS = Read "codedeploy:ListDeploymentGroups";
    BATCH_GET_DEPLOYMENT_GROUPS = Read "codedeploy:BatchGetDeploymentGroups";
    LIST_DEPLOYMENTS = Read "codedeploy:ListDeployments";
    BATCH_GET_DEPLOYMENTS = Read "codedeploy:BatchGetDeployments";
    LIST_DEPLOYMENT_TARGETS = Read "codedeploy:ListDeploymentTargets";
    BATCH_GET_DEPLOYMENT_TARGETS = Read "codedeploy:BatchGetDeploymentTargets";
    GET_APPLICATION_REVISION = Read "codedeploy:GetApplicationRevision";
    DESCRIBE_SERVICES = Read "ecs:DescribeServices";
    LIST_CLUSTERS = Read "ecs:ListClusters";
    LIST_SERVICES = Read "ecs:ListServices";
    LIST_SERVICE_DEPLOYMENTS = Read "ecs:ListServiceDeployments";
    DESCRIBE_SERVICE_DEPLOYMENTS = Read "ecs:DescribeServiceDeployments";
    DESCRIBE_SERVICE_REVISIONS = Read "ecs:DescribeServiceRevisions";
    DESCRIBE_TASK_DEFINITION = Read "ecs:DescribeTaskDefinition";
    LIST_TASK_DEFINITIONS = Read "ecs:ListTaskDefinitions";
    LIST_TASKS = Read "ecs:ListTasks";
    DESCRIBE_TASKS = Read "ecs:DescribeTasks";
    DESCRIBE_LISTENERS = Read "elasticloadbalancing:DescribeListeners";
    DESCRIBE_TARGET_GROUPS = Read "elasticloadbalancing:DescribeTargetGroups";
    DESCRIBE_TARGET_HEALTH = Read "elasticloadbalancing:DescribeTargetHealth";
    DESCRIBE_ALARMS = Read "cloudwatch:DescribeAlarms";
    GET_METRIC_DATA = Read "cloudwatch:GetMetricData";
    PUT_LIFECYCLE_EVENT_HOOK_EXECUTION_STATUS = Change "codedeploy:PutLifecycleEventHookExecutionStatus";
    CONTINUE_DEPLOYMENT = Change "codedeploy:ContinueDeployment";
    CONTINUE_SERVICE_DEPLOYMENT = Change "ecs:ContinueServiceDeployment";
    STOP_DEPLOYMENT = Change "codedeploy:StopDeployment";
    CREATE_DEPLOYMENT = Change "codedeploy:CreateDeployment";
    STOP_SERVICE_DEPLOYMENT = Change "ecs:StopServiceDeployment";
    UPDATE_SERVICE = Change "ecs:UpdateService";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Actions that AWS checks although we never make the call ourselves (aws.md §7).
    const COMPANIONS_OF_CREATE_DEPLOYMENT: [&str; 2] = [
        "codedeploy:GetDeploymentConfig",
        "codedeploy:RegisterApplicationRevision",
    ];

    fn names(nature: Nature) -> BTreeSet<String> {
        ALL.iter()
            .filter(|call| call.nature == nature)
            .map(|call| call.name.to_string())
            .collect()
    }

    fn allowed(document: &str) -> BTreeSet<String> {
        let document: serde_json::Value = serde_json::from_str(document).unwrap();
        let mut actions = BTreeSet::new();
        for statement in document["Statement"].as_array().unwrap() {
            assert_eq!(statement["Effect"], "Allow");
            for action in statement["Action"].as_array().unwrap() {
                assert!(
                    actions.insert(action.as_str().unwrap().to_string()),
                    "{action} twice"
                );
            }
        }
        actions
    }

    #[test]
    fn the_read_only_policy_allows_the_reading_calls_and_nothing_else() {
        let policy = allowed(include_str!("../../../docs/iam/read-only.json"));
        assert_eq!(policy, names(Nature::Read));
    }

    #[test]
    fn the_operator_policy_adds_the_changing_calls_and_their_companions() {
        let policy = allowed(include_str!("../../../docs/iam/operator.json"));
        let mut expected = names(Nature::Change);
        expected.extend(COMPANIONS_OF_CREATE_DEPLOYMENT.map(str::to_string));
        assert_eq!(policy, expected);
    }

    #[test]
    fn the_hub_may_assume_roles_and_nothing_else() {
        let policy = allowed(include_str!("../../../docs/iam/assume-role.json"));
        assert_eq!(policy, BTreeSet::from([ASSUME_ROLE.name.to_string()]));
        let trust: serde_json::Value =
            serde_json::from_str(include_str!("../../../docs/iam/assume-role-trust.json")).unwrap();
        assert_eq!(trust["Statement"][0]["Action"], ASSUME_ROLE.name);
        assert!(trust["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"].is_string());
    }

    #[test]
    fn the_readme_names_every_call() {
        let readme = include_str!("../README.md");
        for call in ALL.iter().chain([&ASSUME_ROLE]) {
            assert!(
                readme.contains(&format!("`{}`", call.name)),
                "{} is not in the table",
                call.name
            );
        }
    }
}
