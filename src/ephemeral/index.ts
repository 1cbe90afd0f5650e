export { ephemeralAuthority } from './authority.ts'
export type { EphemeralAuthority, EphemeralOptions } from './authority.ts'
export { certificateFaults } from './certificate.ts'
export type {
  CertificateFault,
  ClientFault,
  ClientOptions,
  EphemeralCertificate,
  LeafOptions,
  ServerOptions,
} from './certificate.ts'
export type { CertificateFiles, TemporaryFiles } from './temporary-files.ts'
export type { ChildEnvironment } from './child-environment.ts'
export type { ProcessTrust } from '../runtimes/process-trust.ts'
export { RootlingError } from '../errors.ts'
export type { ErrorCode, Fault, RootlingErrorOptions } from '../errors.ts'
export type { KeyType } from '../x509/keys.ts'
