// Who the AWS SDK for JavaScript v3 is by its own default chain; the endpoint comes from AWS_ENDPOINT_URL_STS.
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";

const answer = await new STSClient({ maxAttempts: 2 }).send(new GetCallerIdentityCommand({}));
console.log(answer.Arn);
