# The workshop's commands (seed 000): a new revision, all at once, back again, and a canary.
# Corrected: jq reads the AppSpec from standard input; the article's redirect was lost.
set -eu
cat > task-def.json <<JSON
{"family": "$FAMILY", "networkMode": "awsvpc", "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
 "containerDefinitions": [{"name": "web", "image": "registry.example/web:v2",
                           "portMappings": [{"containerPort": 80, "protocol": "tcp"}]}],
 "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512"}
JSON
first=$(aws ecs describe-services --cluster "$CLUSTER" --services web \
    --query 'services[0].taskSets[?status==`PRIMARY`].taskDefinition' --output text)
second=$(aws ecs register-task-definition --cli-input-json file://task-def.json \
    --query taskDefinition.taskDefinitionArn --output text)

deploy() { # a configuration and a revision
    cat > appspec.yaml <<YAML
version: 0.0
Resources:
  - TargetService:
      Type: AWS::ECS::Service
      Properties:
        TaskDefinition: "$2"
        LoadBalancerInfo:
          ContainerName: "web"
          ContainerPort: 80
YAML
    aws deploy create-deployment \
        --application-name "$APPLICATION" \
        --deployment-group-name web \
        --deployment-config-name "$1" \
        --revision "{\"revisionType\": \"AppSpecContent\", \"appSpecContent\": {\"content\": $(jq -Rs . < appspec.yaml)}}" \
        --query deploymentId --output text
}

wait_until_done() {
    until aws deploy get-deployment --deployment-id "$1" --query deploymentInfo.status --output text |
        grep -E 'Succeeded|Failed|Stopped' > status; do sleep 0.2; done
    test "$(cat status)" = Succeeded
    aws deploy wait deployment-successful --deployment-id "$1"
}

wait_until_done "$(deploy CodeDeployDefault.ECSAllAtOnce "$second")"
wait_until_done "$(deploy CodeDeployDefault.ECSAllAtOnce "$first")"
wait_until_done "$(deploy CodeDeployDefault.ECSCanary10Percent5Minutes "$second")"
serving=$(aws ecs describe-services --cluster "$CLUSTER" --services web \
    --query 'services[0].taskSets[?status==`PRIMARY`].taskDefinition' --output text)
test "$serving" = "$second"
