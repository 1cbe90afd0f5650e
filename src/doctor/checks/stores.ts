import { isWsl } from '../../../platform/windows/wsl.ts'
import { isTrusted } from '../../authority/scope.ts'
import { existsSync } from '../../files/exists.ts'
import type { StoreOutcome } from '../../trust/stores.ts'
import { finding, type Code, type Finding, type Fix } from '../codes.ts'
import type { Checked, Known } from './check.ts'

const isBad = ({ outcome, reason }: StoreOutcome): boolean =>
  outcome === 'failed' ||
  outcome === 'not-trusted' ||
  (outcome === 'trusted' && reason !== undefined)

/** Finds the stores that should trust the roots and do not. Asks no store: that was done before. */
export async function checkStores(known: Known): Promise<Checked> {
  const { outcomes, scopes, world, machine, chosenNone } = known
  const titles = [...new Set(outcomes.map(({ store }) => store.title))]
  const result = (findings: readonly Finding[]): Checked => ({
    check: 'trust stores',
    subjects: titles,
    findings,
  })
  if (scopes.length === 0) return result(withoutAuthority(known))
  if (chosenNone) return result([])
  const fix = fixOf(known)
  const trusted = outcomes.some(({ outcome }) => outcome === 'trusted')
  const lacksTool = ({ tool }: StoreOutcome): boolean => tool?.program === 'certutil'
  const home = world.state.path
  const bad = new Map(
    outcomes
      .filter((each) => isBad(each) && !lacksTool(each))
      .toReversed()
      .map((each) => [each.store.id, each]),
  )
  const isReached = outcomes.some(({ store }) => store.id === 'system:windows-root')
  return result([
    ...missingTools(outcomes.filter(lacksTool)),
    ...(trusted
      ? [...bad.values()].map((each) => badStore(each, fix))
      : [finding('not-installed', home, { home }, fix)]),
    ...passedOver(outcomes),
    ...(isWsl(machine) && !isReached ? [finding('other-side-of-wsl', 'WSL', undefined)] : []),
  ])
}

function withoutAuthority({ world }: Known): Finding[] {
  const { env } = world
  const container =
    existsSync('/.dockerenv') ||
    existsSync('/run/.containerenv') ||
    (env['container'] ?? '') !== '' ||
    (env['KUBERNETES_SERVICE_HOST'] ?? '') !== ''
  if (!container) return [finding('not-installed', world.state.path, { home: null })]
  const given = ['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE'].some(
    (name) => env[name] !== undefined && existsSync(env[name]),
  )
  return given ? [] : [finding('container-without-root', 'this container', undefined)]
}

/** Returns `install`, unless a person never put the roots into stores, or took them out again. */
function fixOf({ scopes, untrusted }: Known): Fix | undefined {
  const wanted = scopes.some((scope) => isTrusted(scope) && !untrusted.includes(scope.name))
  return wanted ? { action: 'install' } : undefined
}

function missingTools(outcomes: readonly StoreOutcome[]): Finding[] {
  const [first] = outcomes
  if (first === undefined) return []
  const stores = [...new Set(outcomes.map(({ store }) => store.title))].join(', ')
  return [
    finding('nss-tools-missing', 'certutil', {
      stores,
      reason: 'The program certutil is not there.',
      remedy: first.hint ?? 'Install certutil with your package manager',
    }),
  ]
}

type StoreCode = Extract<Code, `${string}-missing-root` | `browser-${string}` | `firefox-${string}`>

const codeOf = ({ store, outcome }: StoreOutcome): StoreCode => {
  if (store.id.startsWith('firefox-profile:')) return 'firefox-os-roots-off'
  if (store.kind === 'system') return 'store-missing-root'
  if (store.kind === 'java') return 'java-missing-root'
  const directory = /^nss:(\/.*)$/.exec(store.id)?.[1]
  const isEmpty =
    outcome === 'not-trusted' &&
    directory !== undefined &&
    !['cert9.db', 'cert8.db'].some((name) => existsSync(`${directory}/${name}`))
  return isEmpty ? 'browser-database-missing' : 'profile-missing-root'
}

/** What to do where a store failed that suggests nothing itself: `install` alone would fail again. */
const afterwards = 'Mend what is named here, then: rootling install'

function badStore(bad: StoreOutcome, fix: Fix | undefined): Finding {
  const { store, reason, hint, outcome } = bad
  const mends = outcome !== 'failed' && hint === undefined
  return finding(
    codeOf(bad),
    store.title,
    { store: store.title, reason, ...(mends ? {} : { remedy: hint ?? afterwards }) },
    mends ? fix : undefined,
  )
}

/** Installed browsers that have no database yet. */
const passedOver = (outcomes: readonly StoreOutcome[]): Finding[] =>
  outcomes
    .filter(({ store, outcome }) => outcome === 'skipped' && store.id === `nss:${store.title}`)
    .map(({ store, reason }) =>
      finding('browser-database-missing', store.title, {
        store: store.title,
        reason,
        remedy: 'Start it once, then: rootling install',
      }),
    )
