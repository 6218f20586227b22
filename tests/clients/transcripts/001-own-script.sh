# A team's own deployment script (seed 001): the AppSpec goes to S3 and the deployment names it there.
# Corrected: a Fargate revision needs its network mode, CPU and memory, which taskdef.json brings;
# the answers' parts are taken with --query.
set -euo pipefail
IMAGE_TAG=${1:-latest}
aws s3 mb "s3://$BUCKET"
cat > taskdef.json <<JSON
{"networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
 "executionRoleArn": "arn:aws:iam::123456789012:role/execution"}
JSON
cat > appspec.yml <<'YAML'
version: 0.0
Resources:
  - TargetService:
      Type: AWS::ECS::Service
      Properties:
        TaskDefinition: <TASK_DEFINITION>
        LoadBalancerInfo:
          ContainerName: web
          ContainerPort: 80
YAML
NEW_TASK_DEF=$(aws ecs register-task-definition \
    --family "$FAMILY" \
    --cli-input-json file://taskdef.json \
    --container-definitions "[
      {
        \"name\": \"web\",
        \"image\": \"123456789012.dkr.ecr.us-east-1.amazonaws.com/myapp:${IMAGE_TAG}\",
        \"memory\": 512,
        \"portMappings\": [{\"containerPort\": 80}]
      }
    ]" --query taskDefinition.taskDefinitionArn --output text)
sed "s|<TASK_DEFINITION>|${NEW_TASK_DEF}|g" appspec.yml > appspec-deploy.yml
aws s3 cp appspec-deploy.yml "s3://${BUCKET}/myapp/appspec.yml"
DEPLOYMENT_ID=$(aws deploy create-deployment \
    --application-name "$APPLICATION" \
    --deployment-group-name web \
    --revision "revisionType=S3,s3Location={bucket=${BUCKET},key=myapp/appspec.yml,bundleType=YAML}" \
    --description "Deploy ${IMAGE_TAG}" --query deploymentId --output text)
until aws deploy get-deployment --deployment-id "$DEPLOYMENT_ID" --query deploymentInfo.status --output text |
    grep -E 'Succeeded|Failed|Stopped' > status; do sleep 0.2; done
test "$(cat status)" = Succeeded
