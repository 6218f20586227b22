# The rollback strategy (seed 003): shorter drains, alarms that roll back, the stop while the old tasks are
# warm, the old revision again.
# Corrected: --revision takes JSON, because the CLI's shorthand cannot hold an AppSpec; while the old tasks are
# kept, a new deployment is refused, so the stop comes first.
set -eu
aws elbv2 modify-target-group-attributes \
    --target-group-arn "$BLUE" \
    --attributes Key=deregistration_delay.timeout_seconds,Value=30
for alarm in checkout-5xx-rate checkout-p99-latency checkout-error-budget-burn; do
    aws cloudwatch put-metric-alarm --alarm-name "$alarm" --namespace AWS/ApplicationELB \
        --metric-name HTTPCode_Target_5XX_Count --statistic Sum --period 60 --evaluation-periods 1 \
        --threshold 5 --comparison-operator GreaterThanThreshold --treat-missing-data notBreaching
done
aws deploy update-deployment-group \
    --application-name "$APPLICATION" \
    --current-deployment-group-name web \
    --alarm-configuration enabled=true,alarms="[\
{name=checkout-5xx-rate},\
{name=checkout-p99-latency},\
{name=checkout-error-budget-burn}\
]" \
    --auto-rollback-configuration enabled=true,events="[DEPLOYMENT_FAILURE,DEPLOYMENT_STOP_ON_ALARM]"
cat > revision.json <<JSON
{"revisionType": "AppSpecContent", "appSpecContent": {"content":
 "{\"version\": 0.0, \"Resources\": [{\"TargetService\": {\"Type\": \"AWS::ECS::Service\", \"Properties\": {\"TaskDefinition\": \"$OLD\", \"LoadBalancerInfo\": {\"ContainerName\": \"web\", \"ContainerPort\": 80}}}}]}"}}
JSON
again() {
    aws deploy create-deployment \
        --application-name "$APPLICATION" \
        --deployment-group-name web \
        --revision file://revision.json \
        --region "$AWS_DEFAULT_REGION"
}
if again 2> refusal; then exit 1; fi
grep DeploymentLimitExceededException refusal
aws deploy stop-deployment \
    --deployment-id "$DEPLOYMENT" \
    --auto-rollback-enabled \
    --region "$AWS_DEFAULT_REGION"
rollback=None
until test "$rollback" != None; do
    sleep 0.2
    rollback=$(aws deploy get-deployment --deployment-id "$DEPLOYMENT" \
        --query deploymentInfo.rollbackInfo.rollbackDeploymentId --output text)
done
until aws deploy get-deployment --deployment-id "$rollback" --query deploymentInfo.status --output text |
    grep -E 'Succeeded|Failed|Stopped' > status; do sleep 0.2; done
test "$(cat status)" = Succeeded
again
