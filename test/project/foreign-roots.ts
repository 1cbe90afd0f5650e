import { X509Certificate } from 'node:crypto'
import { makeScope } from '../../src/authority/ceremony.ts'
import { localConstraints, widen } from '../../src/x509/name-constraints.ts'
import { fingerprintOf } from '../../src/x509/parsed-certificate.ts'

const constraintsOf = {
  none: null,
  local: localConstraints,
  team: widen(localConstraints, ['dev.example.com']),
  'free addresses': { ...localConstraints, ip: ['0.0.0.0/1'] },
}

/** Makes the root of another authority, which may sign as much as these words say. */
export async function foreignRoot(
  constraints: keyof typeof constraintsOf,
): Promise<{ readonly pem: string; readonly fingerprint: string }> {
  const plan = {
    name: 'local',
    permitted: [],
    constraints: constraintsOf[constraints],
    hardened: false,
  }
  const { root } = await makeScope(plan, new Date())
  return { pem: root, fingerprint: fingerprintOf(new X509Certificate(root)) }
}
