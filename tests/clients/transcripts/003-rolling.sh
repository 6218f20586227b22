# The way back with ECS's own controller (seed 003).
set -eu
aws ecs update-service \
    --cluster "$CLUSTER" \
    --service rolling \
    --task-definition "$OLD" \
    --force-new-deployment \
    --region "$AWS_DEFAULT_REGION"
aws ecs wait services-stable --cluster "$CLUSTER" --services rolling
aws ecs wait tasks-running --cluster "$CLUSTER" \
    --tasks $(aws ecs list-tasks --cluster "$CLUSTER" --service-name rolling --query 'taskArns' --output text)
test "$(aws ecs describe-services --cluster "$CLUSTER" --services rolling \
    --query 'services[0].deployments[].taskDefinition' --output text)" = "$OLD"
