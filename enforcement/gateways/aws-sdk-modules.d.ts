// The AWS SDK is an optional dependency: its own types must not be needed to build Curfew without it.
declare module '@aws-sdk/client-api-gateway'
declare module '@aws-sdk/client-cognito-identity-provider'
declare module '@aws-sdk/client-dynamodb'
declare module '@aws-sdk/client-wafv2'
