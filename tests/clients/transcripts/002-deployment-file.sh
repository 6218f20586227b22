# A deployment that is a file, with its AppSpec in S3 (seed 002).
set -eu
aws s3 mb "s3://$BUCKET"
cat > appspec.yaml <<YAML
version: 0.0
Resources:
  - TargetService:
      Type: AWS::ECS::Service
      Properties:
        TaskDefinition: "$REVISION"
        LoadBalancerInfo:
          ContainerName: "web"
          ContainerPort: 80
Hooks:
  - BeforeAllowTraffic: "sim-succeed"
YAML
aws s3 cp appspec.yaml "s3://$BUCKET/appspec.yaml"
cat > deployment.json <<JSON
{"applicationName": "$APPLICATION", "deploymentGroupName": "web",
 "revision": {"revisionType": "S3", "s3Location": {"bucket": "$BUCKET", "key": "appspec.yaml", "bundleType": "YAML"}}}
JSON
DEPLOYMENT_ID=$(aws deploy create-deployment --cli-input-json file://deployment.json --region "$AWS_DEFAULT_REGION" \
    --query deploymentId --output text)
until aws deploy get-deployment --deployment-id "$DEPLOYMENT_ID" --query deploymentInfo.status --output text |
    grep -E 'Succeeded|Failed|Stopped' > status; do sleep 0.2; done
test "$(cat status)" = Succeeded
