import type { X509Certificate } from 'node:crypto'
import type { RootlingError } from '../errors.ts'
import type { TrustWorld } from '../trust/world.ts'
import type { StoreOptions } from '../trust/machine-stores.ts'
import type { StoreOutcome } from '../trust/stores.ts'
import type { Scope } from '../authority/scope.ts'
import type { Route } from '../proxy/routes.ts'
import type { Project } from './find.ts'
import type { Wanted } from './read.ts'
import type { Done, ProjectRecord } from './record.ts'

type StepCode =
  | 'authority' // the own authority and its trust
  | 'permit' // a scope for further names
  | 'trust' // a teammate's root
  | 'ignore' // lines of .gitignore
  | 'certificate'
  | 'hosts' // lines of the hosts file
  | 'env' // the file of variables
  | 'proxy' // routes of the proxy

/** What a step is about to do or did; `kept` is of `down` alone. */
export type StepOutcome = 'unchanged' | 'would-change' | 'changed' | 'failed' | 'kept'

/** One thing that the file asks for, as `--json` prints it. */
export interface Step {
  readonly code: StepCode
  /** What it is about, such as a path or names, for people. */
  readonly subject: string
  readonly outcome: StepOutcome
  /** Whether it needs root or an administrator. */
  readonly privileged: boolean
  /** The command that does the same alone. */
  readonly command?: string
  /** What was or would be done, or why it was left or failed, in one sentence. */
  readonly detail?: string
  readonly hint?: string
}

export type ApprovalKind = 'run' | 'trust' | 'permit' | 'hosts' | 'proxy'

/** Something in the file that can hurt its reader, so that a person approves it once. */
export interface Danger {
  readonly kind: ApprovalKind
  /** Exactly what the person is shown, and what the approval is for. */
  readonly text: string
  /** Of a root, in lower-case hex. */
  readonly fingerprint?: string
  /** Whether only `--allow trust:FINGERPRINT` approves it, and no answer to a question. */
  readonly namedOnly?: true
}

/** A step with the way to do it. */
export interface PlannedStep {
  readonly step: Step
  readonly dangers: readonly Danger[]
  /** What `down` takes back, recorded before the step is done. */
  readonly done: readonly Done[]
  /** What this project needs of what projects share, whoever did it. */
  readonly uses: readonly Done[]
  /** Does the step, and returns what was done, in one sentence. Throws where it fails. */
  readonly apply: () => Promise<string | undefined>
}

/** How routes come to be served. */
export interface ProxyAccess {
  /** Whether the proxy runs, so that it sees what changes. */
  readonly isServing: () => Promise<boolean>
  /** Starts what serves these routes, and returns their URLs. Throws where it cannot. */
  readonly serve: (routes: readonly Route[]) => Promise<readonly string[]>
}

/** What the steps work on. */
export interface Work {
  readonly project: Project
  readonly wanted: Wanted
  readonly world: TrustWorld
  readonly options: StoreOptions
  /** The scopes whose roots belong into trust stores. */
  readonly scopes: readonly Scope[]
  /** What each store says of the own roots and of those in the file, by the names of the anchors. */
  readonly trust: readonly StoreOutcome[]
  /** What could be read of the roots in the file, in their order. */
  readonly roots: readonly (X509Certificate | RootlingError)[]
  /** What is remembered of the project; `null`: nothing is. */
  readonly recorded: ProjectRecord | null
  /** The hosts file; `undefined`: this machine's. */
  readonly hostsFile: string | undefined
  /** The proxy that serves the routes; absent: nothing is started. */
  readonly proxy?: ProxyAccess | undefined
  /** The steps that are done before those that are planned now. */
  readonly earlier: readonly PlannedStep[]
}

/** Returns a step that has nothing to do. `dangers`: those whose approval is not to be forgotten. */
export const settled = (
  step: Omit<Step, 'outcome' | 'privileged'>,
  { dangers = [], uses = [] }: Partial<Pick<PlannedStep, 'dangers' | 'uses'>> = {},
): PlannedStep => ({
  step: { ...step, outcome: 'unchanged', privileged: false },
  dangers,
  uses,
  done: [],
  apply: async () => undefined,
})

/** Returns a step that cannot be done; it stops no other. */
export const impossible = (
  step: Omit<Step, 'outcome' | 'privileged'>,
  error: Error & { readonly hint?: string | undefined },
): PlannedStep => ({
  ...settled(step),
  step: {
    ...step,
    outcome: 'failed',
    privileged: false,
    detail: error.message,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  },
})
