//! Each operation of Elastic Load Balancing, CloudWatch and STS: one answer that the SDK parses, and one refusal that it finds the type of.

use aws_sdk_cloudwatch::types as cw;
use aws_sdk_elasticloadbalancingv2::types as elb_types;

use crate::{Estate, START_MS, account, estate};

#[tokio::test]
async fn every_operation_of_load_balancing() {
    let running = account().await;
    let Estate {
        elb,
        balancer,
        groups,
        listener,
        ..
    } = estate(&running).await;
    let nobody = balancer.replace("/rust/", "/none/");
    let shown = answer!(elb.describe_load_balancers().names("rust"));
    assert_eq!(
        shown.load_balancers()[0].load_balancer_arn(),
        Some(&*balancer)
    );
    refused!(
        elb.describe_load_balancers().names("none"),
        is_load_balancer_not_found_exception
    );
    let idle = elb_types::LoadBalancerAttribute::builder()
        .key("idle_timeout.timeout_seconds")
        .value("30")
        .build();
    answer!(
        elb.modify_load_balancer_attributes()
            .load_balancer_arn(&balancer)
            .attributes(idle)
    );
    let attributes = |arn: &str| {
        elb.describe_load_balancer_attributes()
            .load_balancer_arn(arn)
    };
    let shown = answer!(attributes(&balancer));
    assert!(
        shown
            .attributes()
            .iter()
            .any(|one| one.value() == Some("30"))
    );
    refused!(attributes(&nobody), is_load_balancer_not_found_exception);

    let spare = answer!(
        elb.create_target_group()
            .name("spare")
            .protocol(elb_types::ProtocolEnum::Http)
            .port(80)
            .vpc_id("vpc-1")
            .target_type(elb_types::TargetTypeEnum::Ip)
    );
    let spare = spare.target_groups()[0]
        .target_group_arn()
        .expect("an ARN")
        .to_string();
    let no_group = spare.replace("/spare/", "/none/");
    let changed = answer!(
        elb.modify_target_group()
            .target_group_arn(&spare)
            .health_check_path("/well")
    );
    assert_eq!(
        changed.target_groups()[0].health_check_path(),
        Some("/well")
    );
    refused!(
        elb.modify_target_group()
            .target_group_arn(&no_group)
            .health_check_path("/well"),
        is_target_group_not_found_exception
    );
    assert_eq!(
        answer!(elb.describe_target_groups().names("spare"))
            .target_groups()
            .len(),
        1
    );
    refused!(
        elb.describe_target_groups().names("none"),
        is_target_group_not_found_exception
    );
    let delay = elb_types::TargetGroupAttribute::builder()
        .key("deregistration_delay.timeout_seconds")
        .value("7")
        .build();
    answer!(
        elb.modify_target_group_attributes()
            .target_group_arn(&spare)
            .attributes(delay)
    );
    let attributes = |arn: &str| elb.describe_target_group_attributes().target_group_arn(arn);
    let shown = answer!(attributes(&spare));
    assert!(
        shown
            .attributes()
            .iter()
            .any(|one| one.value() == Some("7"))
    );
    refused!(attributes(&no_group), is_target_group_not_found_exception);
    let target = elb_types::TargetDescription::builder()
        .id("10.9.9.9")
        .port(80)
        .build();
    answer!(
        elb.register_targets()
            .target_group_arn(&spare)
            .targets(target.clone())
    );
    let shown = answer!(elb.describe_target_health().target_group_arn(&spare));
    let health = shown.target_health_descriptions()[0].target_health();
    assert_eq!(
        health.and_then(|one| one.state()),
        Some(&elb_types::TargetHealthStateEnum::Unused)
    );
    refused!(
        elb.describe_target_health().target_group_arn(&no_group),
        is_target_group_not_found_exception
    );
    answer!(
        elb.deregister_targets()
            .target_group_arn(&spare)
            .targets(target.clone())
    );
    refused!(
        elb.register_targets()
            .target_group_arn(&no_group)
            .targets(target),
        is_target_group_not_found_exception
    );

    let part = |arn: &str, weight| {
        elb_types::TargetGroupTuple::builder()
            .target_group_arn(arn)
            .weight(weight)
            .build()
    };
    let weighted = elb_types::ForwardActionConfig::builder()
        .target_groups(part(&groups[0], 90))
        .target_groups(part(&groups[1], 10))
        .build();
    let forward = elb_types::Action::builder()
        .r#type(elb_types::ActionTypeEnum::Forward)
        .forward_config(weighted)
        .build();
    let no_listener = listener.replace("/rust/", "/none/");
    let modify = |arn: &str| {
        elb.modify_listener()
            .listener_arn(arn)
            .default_actions(forward.clone())
    };
    answer!(modify(&listener));
    refused!(modify(&no_listener), is_listener_not_found_exception);
    let shown = answer!(elb.describe_listeners().load_balancer_arn(&balancer));
    let actions = shown.listeners()[0].default_actions();
    let weights = actions[0]
        .forward_config()
        .expect("weights")
        .target_groups();
    let weights: Vec<_> = weights.iter().map(|one| one.weight()).collect();
    assert_eq!(weights, [Some(90), Some(10)]);
    let condition = elb_types::RuleCondition::builder()
        .field("path-pattern")
        .path_pattern_config(
            elb_types::PathPatternConditionConfig::builder()
                .values("/a*")
                .build(),
        )
        .build();
    let create = || {
        elb.create_rule()
            .listener_arn(&listener)
            .priority(5)
            .conditions(condition.clone())
            .actions(forward.clone())
    };
    let rule = answer!(create());
    let rule = rule.rules()[0].rule_arn().expect("an ARN").to_string();
    refused!(create(), is_priority_in_use_exception);
    let no_rule = rule.replace("/rust/", "/none/");
    let modify = |arn: &str| elb.modify_rule().rule_arn(arn).actions(forward.clone());
    answer!(modify(&rule));
    refused!(modify(&no_rule), is_rule_not_found_exception);
    let move_to = |arn: &str| {
        let pair = elb_types::RulePriorityPair::builder()
            .rule_arn(arn)
            .priority(7)
            .build();
        elb.set_rule_priorities().rule_priorities(pair)
    };
    answer!(move_to(&rule));
    refused!(move_to(&no_rule), is_rule_not_found_exception);
    let shown = answer!(elb.describe_rules().listener_arn(&listener));
    let priorities: Vec<_> = shown
        .rules()
        .iter()
        .filter_map(|one| one.priority())
        .collect();
    assert_eq!(priorities, ["7", "default"]);
    refused!(
        elb.describe_rules().listener_arn(&no_listener),
        is_listener_not_found_exception
    );

    let tag = elb_types::Tag::builder().key("team").value("a").build();
    answer!(elb.add_tags().resource_arns(&balancer).tags(tag));
    let shown = answer!(elb.describe_tags().resource_arns(&balancer));
    assert_eq!(shown.tag_descriptions()[0].tags()[0].value(), Some("a"));
    answer!(elb.remove_tags().resource_arns(&balancer).tag_keys("team"));
    refused!(
        elb.describe_tags().resource_arns(&nobody),
        is_load_balancer_not_found_exception
    );
    refused!(
        elb.delete_target_group().target_group_arn(&groups[0]),
        is_resource_in_use_exception
    );
    answer!(elb.delete_target_group().target_group_arn(&spare));
    answer!(elb.delete_rule().rule_arn(&rule));
    refused!(
        elb.delete_rule().rule_arn(&rule),
        is_rule_not_found_exception
    );
    answer!(elb.delete_listener().listener_arn(&listener));
    refused!(
        elb.delete_listener().listener_arn(&listener),
        is_listener_not_found_exception
    );
    answer!(elb.delete_load_balancer().load_balancer_arn(&balancer));
    running.shutdown().await;
}

#[tokio::test]
async fn every_operation_of_cloudwatch() {
    let running = account().await;
    let cloudwatch = client!(aws_sdk_cloudwatch, running);
    let dimension = cw::Dimension::builder().name("d").value("<&>").build();
    let metric = cw::Metric::builder()
        .namespace("Ops")
        .metric_name("Errors")
        .dimensions(dimension.clone())
        .build();
    let at = |seconds: i64| {
        aws_sdk_cloudwatch::primitives::DateTime::from_secs(START_MS / 1000 + seconds)
    };
    let datum = cw::MetricDatum::builder()
        .metric_name("Errors")
        .dimensions(dimension.clone())
        .timestamp(at(-600))
        .value(3.5)
        .build();
    answer!(
        cloudwatch
            .put_metric_data()
            .namespace("Ops")
            .metric_data(datum)
    );
    let listed = answer!(cloudwatch.list_metrics().namespace("Ops"));
    assert_eq!(listed.metrics().first(), Some(&metric));
    let shown = answer!(
        cloudwatch
            .get_metric_statistics()
            .namespace("Ops")
            .metric_name("Errors")
            .dimensions(dimension.clone())
            .start_time(at(-3600))
            .end_time(at(0))
            .period(60)
            .statistics(cw::Statistic::Sum)
    );
    assert_eq!(shown.datapoints()[0].sum(), Some(3.5));
    refused!(
        cloudwatch
            .get_metric_statistics()
            .namespace("Ops")
            .metric_name("Errors")
            .start_time(at(0))
            .end_time(at(-3600))
            .period(60)
            .statistics(cw::Statistic::Sum),
        is_invalid_parameter_combination_exception
    );
    let stat = cw::MetricStat::builder()
        .metric(metric)
        .period(60)
        .stat("p99")
        .build();
    let query = cw::MetricDataQuery::builder()
        .id("m")
        .metric_stat(stat)
        .build();
    let data = || {
        cloudwatch
            .get_metric_data()
            .start_time(at(-3600))
            .end_time(at(0))
            .metric_data_queries(query.clone())
    };
    assert_eq!(answer!(data()).metric_data_results()[0].values(), [3.5]);
    refused!(data().next_token("nonsense"), is_invalid_next_token);

    answer!(
        cloudwatch
            .put_metric_alarm()
            .alarm_name("one")
            .namespace("Ops")
            .metric_name("Errors")
            .dimensions(dimension.clone())
            .statistic(cw::Statistic::Sum)
            .period(60)
            .evaluation_periods(1)
            .threshold(1.5)
            .comparison_operator(cw::ComparisonOperator::GreaterThanThreshold)
    );
    answer!(
        cloudwatch
            .put_composite_alarm()
            .alarm_name("all")
            .alarm_rule("ALARM(\"one\")")
    );
    let set = |name: &str| {
        cloudwatch
            .set_alarm_state()
            .alarm_name(name)
            .state_value(cw::StateValue::Alarm)
            .state_reason("a drill")
    };
    answer!(set("one"));
    refused!(set("none"), is_resource_not_found);
    let shown = answer!(
        cloudwatch
            .describe_alarms()
            .alarm_types(cw::AlarmType::MetricAlarm)
            .alarm_types(cw::AlarmType::CompositeAlarm)
    );
    assert_eq!(
        (shown.metric_alarms().len(), shown.composite_alarms().len()),
        (1, 1)
    );
    refused!(
        cloudwatch.describe_alarms().next_token("nonsense"),
        is_invalid_next_token
    );
    let shown = answer!(
        cloudwatch
            .describe_alarms_for_metric()
            .namespace("Ops")
            .metric_name("Errors")
            .dimensions(dimension)
    );
    assert_eq!(shown.metric_alarms().len(), 1);
    let history = answer!(cloudwatch.describe_alarm_history().alarm_name("one"));
    let updates = history
        .alarm_history_items()
        .iter()
        .filter(|item| item.history_item_type() == Some(&cw::HistoryItemType::StateUpdate));
    assert_eq!(updates.count(), 1);
    refused!(
        cloudwatch.describe_alarm_history().next_token("nonsense"),
        is_invalid_next_token
    );
    answer!(cloudwatch.disable_alarm_actions().alarm_names("one"));
    answer!(cloudwatch.enable_alarm_actions().alarm_names("one"));
    let alarms = answer!(cloudwatch.describe_alarms().alarm_names("one"));
    let arn = alarms.metric_alarms()[0]
        .alarm_arn()
        .expect("an ARN")
        .to_string();
    let tag = cw::Tag::builder().key("team").value("a").build();
    answer!(cloudwatch.tag_resource().resource_arn(&arn).tags(tag));
    let tags = |arn: &str| cloudwatch.list_tags_for_resource().resource_arn(arn);
    assert_eq!(answer!(tags(&arn)).tags().len(), 1);
    refused!(
        tags(&format!("{arn}-none")),
        is_resource_not_found_exception
    );
    answer!(
        cloudwatch
            .untag_resource()
            .resource_arn(&arn)
            .tag_keys("team")
    );
    answer!(cloudwatch.delete_alarms().alarm_names("all"));
    refused!(
        cloudwatch
            .delete_alarms()
            .alarm_names("one")
            .alarm_names("none"),
        is_resource_not_found
    );

    let sts = client!(aws_sdk_sts, running);
    let shown = answer!(sts.get_caller_identity());
    assert_eq!(shown.account(), Some("123456789012"));
    running.shutdown().await;
}
