import type { TrustAnchor } from '../../platform/trust-store.ts'
import type { Scope } from '../authority/scope.ts'
import { beyondConstraints, describeMaySign, unconstrainedWarning } from '../doctor/messages.ts'
import { RootlingError } from '../errors.ts'
import { whyUncritical } from '../x509/free-types.ts'
import { fingerprintOf, fingerprintText } from '../x509/parsed-certificate.ts'
import { shortened } from '../printable.ts'
import { shownSubject } from '../x509/shown-subject.ts'
import { javaIgnoresConstraints } from '../trust/beside-java.ts'
import { quotedPath, shellWord } from '../shell-word.ts'
import type { AuthorityFiles, Question, TrustEvent, TrustWorld } from '../trust/world.ts'
import type { Context } from './context.ts'
import { describeConstraints, rootText, scopeText } from './describe.ts'
import { createKeystoreAsker } from './keystore-password.ts'
import type { Output } from './output.ts'
import { reportHooks, warnOfFiles } from './renewals.ts'
import { notePlan } from './rotation-text.ts'
import type { StoreArguments } from './store-arguments.ts'

/**
 * Returns what the library needs to change trust stores. Questions are asked on the terminal, and
 * events are printed as notes and warnings.
 */
export function trustWorld(args: Pick<StoreArguments, 'yes'>, context: Context): TrustWorld {
  const { state, env, now } = context
  const mayAsk = args.yes !== true && context.interactive
  return {
    state,
    env,
    now,
    interactive: mayAsk,
    askKeystorePassword: mayAsk ? createKeystoreAsker(context.output) : undefined,
    confirm: async (question) => {
      if (question.type === 'rotate') notePlan(question.plan, context)
      if (question.type === 'trust-foreign-root') requireTerminal(question.fingerprint, context)
      else if (!mayAsk && question.type === 'remove-others') throw notOwn(question.anchors)
      else if (!mayAsk && question.type === 'delete-named-authority') return false
      else if (!mayAsk) return args.yes === true || question.type !== 'install-tool'
      // Loaded only here: mostly nothing is asked.
      return (await import('./ask.ts')).confirm(wordsOf(question))
    },
    report: (event) => showEvent(event, context),
  }
}

/**
 * Throws `usage` without a terminal. `--yes` does not answer the question, because a person must
 * compare the fingerprint.
 */
function requireTerminal(fingerprint: string, { interactive }: Context): void {
  if (interactive) return
  throw new RootlingError('usage', 'Without a terminal the fingerprint must be given.', {
    hint: `--fingerprint ${fingerprintText(fingerprint)}, if that is what your teammate says it is`,
  })
}

/**
 * A `usage` error for roots that nobody was asked about. `--yes` does not agree to their removal,
 * since a script with another HOME would take the roots of every user.
 */
const notOwn = (anchors: readonly TrustAnchor[]): RootlingError =>
  new RootlingError(
    'usage',
    `There is no authority here, and the trust stores hold roots that may be another user’s: ${namesOf(anchors)}.`,
    { hint: 'To remove them all the same: rootling uninstall --all --yes' },
  )

/** Names roots: those of `scopes` by their scopes, and others by their names in the stores. */
function namesOf(anchors: readonly TrustAnchor[], scopes: readonly Scope[] = []): string {
  const known = scopes.map(scopeText)
  return anchors
    .map(({ name, fingerprint }) => {
      const scope = scopes.findIndex(({ root }) => fingerprintOf(root) === fingerprint)
      return known[scope] ?? rootText(name, fingerprint)
    })
    .join(', ')
}

function wordsOf(question: Question): string[] {
  switch (question.type) {
    case 'install-tool':
      return [question.reason, `Install ${question.program} now?`]
    case 'remove': {
      const names = namesOf(question.anchors, question.scopes)
      const what = [
        names === '' ? '' : `remove ${names} from the trust stores`,
        question.deletesAuthority ? `delete ${describeFiles(question.authority)}` : '',
      ]
      return [`This will ${what.filter(Boolean).join(' and ')}. Go on?`]
    }
    case 'remove-others':
      return [
        `There is no authority here. The trust stores hold ${namesOf(question.anchors)}, which may be another user’s.`,
        'Remove them all the same?',
      ]
    case 'delete-named-authority': {
      const { authority } = question.authority.state
      return [
        `The directory also has the authority ${authority}.`,
        `Take its roots out of the trust stores and delete ${describeFiles(question.authority)} too?`,
      ]
    }
    case 'forget-scope':
      return [`This will delete the scope ${question.name} and its key. Go on?`]
    case 'rotate': {
      return [`Replace the root ${scopeText(question.plan.old)}?`]
    }
    case 'trust-foreign-root':
      return [
        'Its fingerprint is',
        `  ${fingerprintText(question.fingerprint)}`,
        'Is that what your teammate says it is?',
      ]
  }
}

/** Says what a deletion of an authority deletes. */
function describeFiles({ state, scopes }: AuthorityFiles): string {
  const list = scopes.join(', ')
  const keys = scopes.length > 1 ? `the keys of its scopes ${list}` : `the key of its scope ${list}`
  return `the CA in ${quotedPath(state.path)}${scopes.length === 0 ? '' : `, with ${keys},`} and its record`
}

function showEvent(event: TrustEvent, { state, output }: Context): void {
  switch (event.type) {
    case 'scope-expires':
      return output.warn(event.warning)
    case 'password-prompt':
      return output.note(`To write to this machine's trust stores, ${event.sentence}`)
    case 'waiting':
      return showWaiting(event, output)
    case 'tool-installing':
      return output.note(`Installing ${event.program}…`)
    case 'tool-failed':
      return output.warn(`${event.program} could not be installed: ${event.reason}`)
    case 'authority-created':
      output.note(
        `Created the certificate authority ${scopeText(event.scope)} in ${output.path(state.path)}.`,
      )
      return noteHardened(event.scope, output)
    case 'scope-permitted':
      return showPermitted(event, output)
    case 'scope-planned':
      return output.note(
        `A new scope would be made first; NEW and ${event.anchorName} stand for its names.`,
      )
    case 'others-left':
      return output.note(
        `Left alone, of other authorities: ${namesOf(event.anchors)}. To remove them too: rootling uninstall --all`,
      )
    case 'nothing-installed':
      return output.note('No root of Rootling is in the trust stores.')
    case 'scope-damaged':
      return output.warn(
        `${event.error.message} Its root may still be in the trust stores; to remove roots that no scope explains: rootling uninstall --all`,
      )
    case 'rotating':
      output.note(`Replacing ${scopeText(event.old)} by ${scopeText(event.next)}.`)
      return noteHardened(event.next, output)
    case 'renewed':
      return showRenewed(event, output)
    case 'foreign-root':
      return showForeignRoot(event, output)
  }
}

type EventOf<T extends TrustEvent['type']> = Extract<TrustEvent, { readonly type: T }>

/** Says what is waited for: on a terminal in one line that changes, else now and then in a note. */
function showWaiting({ what, seconds }: EventOf<'waiting'>, output: Output): void {
  const text = `Waiting for ${what} (${seconds} s)…`
  const isDue = seconds === 20 || seconds % 60 === 0
  if (!output.live(text) && isDue) output.note(text)
}

function noteHardened({ name, copies }: Scope, output: Output): void {
  if (copies === null) return
  // The path that the file has once a rotation is finished.
  const path = copies.path.replace(`/${name}.next/`, `/${name}/`)
  output.note(
    `It is hardened here. For programs that read no trust store: NODE_EXTRA_CA_CERTS=${shellWord(path)}. Java, phones and other machines are not protected.`,
  )
}

function showPermitted({ scope, created }: EventOf<'scope-permitted'>, output: Output): void {
  output.note(
    created
      ? `Added the scope ${scope.name}, which may sign ${describeConstraints(scope)}.`
      : `Nothing to permit: the scope ${scope.name} may sign ${describeConstraints(scope)}.`,
  )
  if (scope.use === 'private')
    output.warn(
      'Anyone who steals its key can impersonate any server to the programs that are given its root.',
    )
  else if (scope.constraints === null)
    output.warn(
      'Anyone who steals the key of an unconstrained scope can impersonate any site, your bank included, to this machine.',
    )
  else output.note(beyondConstraints)
}

function showRenewed({ renewals, hooks }: EventOf<'renewed'>, output: Output): void {
  warnOfFiles(renewals, output)
  reportHooks(hooks, output)
  for (const { previous, outcome, reason, hint } of renewals)
    if (outcome !== 'renewed')
      output.warn(
        `${quotedPath(previous.certPath ?? '')} was not renewed: ${reason} ${hint ?? ''}`.trim(),
      )
}

/** The most characters of a stranger's name that are shown. */
const longestName = 200

function showForeignRoot(event: EventOf<'foreign-root'>, output: Output): void {
  const { subject, constraints, uncritical, java } = event
  // The name is a stranger's, and has a line of its own: it could say what it may sign.
  output.note(`The root calls itself “${shortened(shownSubject(subject), longestName)}”.`)
  output.note(`It may sign: ${describeMaySign(constraints)}`)
  const warning = unconstrainedWarning(constraints)
  if (warning === null) output.note(beyondConstraints)
  else output.warn(uncritical ? `${warning} The reason: ${whyUncritical}.` : warning)
  if (java) output.warn(`${javaIgnoresConstraints}.`)
}
