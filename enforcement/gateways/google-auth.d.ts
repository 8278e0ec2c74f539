// Optional like the AWS SDK: its own types must not be needed to build Curfew without it.
declare module 'google-auth-library'
