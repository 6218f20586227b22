# Watching a deployment and taking it back (seed 001).
set -eu
test "$(aws deploy get-deployment --deployment-id "$DEPLOYMENT" \
    --query deploymentInfo.status --output text)" = InProgress
aws deploy get-deployment --deployment-id "$DEPLOYMENT" --query deploymentInfo.deploymentOverview
aws elbv2 describe-target-health --target-group-arn "$GREEN" \
    --query 'TargetHealthDescriptions[].TargetHealth.State' --output text | grep healthy
aws deploy stop-deployment \
    --deployment-id "$DEPLOYMENT" \
    --auto-rollback-enabled
