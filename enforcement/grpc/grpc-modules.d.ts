// gRPC is an optional dependency: its own types must not be needed to build Curfew without it.
declare module '@grpc/grpc-js'
declare module '@grpc/proto-loader'
