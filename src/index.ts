export { certificateFor } from './library/certificate-for.ts'
export type { CertificateForOptions } from './library/certificate-for.ts'
export type { Certificate } from './certificates/kept.ts'
export { clientCertificateFor } from './library/client-certificate.ts'
export type { ClientCertificate, ClientCertificateOptions } from './library/client-certificate.ts'
export { createServer } from './library/create-server.ts'
export type { Http2ServerOptions, HttpsServerOptions } from './library/create-server.ts'
export { secureContextFor } from './library/secure-context.ts'
export type { SecureContextForOptions, ServerContext } from './library/secure-context.ts'
export { isRootlingError, RootlingError } from './errors.ts'
export type { ErrorCode, Fault, RootlingErrorOptions } from './errors.ts'
export type { KeyType } from './x509/keys.ts'
export { diagnose } from './library/diagnose.ts'
export type {
  DiagnosedServer,
  DiagnoseOptions,
  Diagnosis,
  DiagnosisFinding,
} from './library/diagnose.ts'
export { environmentFor } from './library/environment.ts'
export type { EnvironmentOptions } from './library/environment.ts'
export { inspect } from './library/inspect.ts'
export type { InspectOptions, Inspection } from './library/inspect.ts'
export type {
  InspectedCertificate,
  InspectedCrl,
  InspectedKey,
  InspectedObject,
  InspectedOcspResponse,
  InspectedRequest,
  Refusal,
} from './doctor/inspection.ts'
export type { StoreSelection } from './library/options.ts'
export type { StateOptions } from './library/state.ts'
export { trustInProcess } from './library/process-trust.ts'
export type { InProcessTrust } from './library/process-trust.ts'
export { trust, trustStatus } from './library/trust.ts'
export type { StoreReport, TrustOptions, TrustReport, TrustStatus } from './library/trust.ts'
export type { StoreKind, StoreScope } from '../platform/trust-store.ts'
export type { DescribedScope } from './authority/describe-scope.ts'
export type { DescribedRecord } from './certificates/describe-record.ts'
export type { DescribedStaleRoot } from './trust/stale-roots.ts'
export type { Constraints } from './x509/foreign-extensions.ts'
export type { Name } from './x509/foreign-names.ts'
export type { Revocation } from './x509/revocation.ts'
export type { ExtraFile, Purpose } from './storage/records.ts'
export type { Identifier } from './x509/identifier.ts'
export type { NameConstraints } from './x509/name-constraints.ts'
export type { AuthorityUse } from './x509/profiles.ts'
