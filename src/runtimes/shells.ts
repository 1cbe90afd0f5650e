import { RootlingError } from '../errors.ts'
import { printable } from '../printable.ts'
import { memoryName, type Changes } from './environment.ts'
import type { Environment } from './variables.ts'

/** The forms in which changes of an environment are printed. */
export type Form = 'bash' | 'zsh' | 'fish' | 'powershell' | 'dotenv' | 'json'

/** By the name of its program, the form that a shell reads. */
const formOfShell: Readonly<Record<string, Form>> = {
  sh: 'bash',
  dash: 'bash',
  ash: 'bash',
  ksh: 'bash',
  mksh: 'bash',
  bash: 'bash',
  zsh: 'zsh',
  fish: 'fish',
  pwsh: 'powershell',
  powershell: 'powershell',
}

/**
 * Returns the form that the person's shell reads: the shell that `SHELL` names, or on Windows
 * PowerShell. Throws `usage` for a shell that reads none of the forms.
 */
export function formFor(env: Environment, system: NodeJS.Platform = process.platform): Form {
  const path = env['SHELL'] ?? ''
  if (path === '') return system === 'win32' ? 'powershell' : 'bash'
  const name = path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1)
  const form = formNamed(name.replace(/\.exe$/i, ''))
  if (form !== null) return form
  throw new RootlingError('usage', `SHELL names ${path}, for which there is no form of output.`, {
    hint: `In every shell: rootling run -- COMMAND; for another shell: rootling env --shell ${[...new Set(Object.values(formOfShell)), 'dotenv', 'json'].join('|')}`,
  })
}

/** Returns the form of a name that `--shell` takes; `null`: it is none. */
export function formNamed(name: string): Form | null {
  if (name === 'dotenv' || name === 'json') return name
  return Object.hasOwn(formOfShell, name) ? (formOfShell[name] ?? null) : null
}

/** Returns the command by which the person's shell takes over the variables of `rootling env`. */
export function commandForEnv(env: Environment, system = process.platform): string {
  const name = (env['SHELL'] ?? '').replace(/^.*[\\/]/, '').replace(/\.exe$/i, '')
  const form = formOfShell[name] ?? (name === '' && system === 'win32' ? 'powershell' : 'bash')
  if (form === 'fish') return 'rootling env | source'
  if (form === 'powershell') return 'rootling env | Out-String | Invoke-Expression'
  return 'eval "$(rootling env)"'
}

/**
 * Returns the text by which a shell or another reader makes the changes. What `--unset` would read
 * is left out for readers that are not shells. Throws `usage` for a value that cannot be written so
 * that every reader gets it back unchanged.
 */
export function textFor(form: Form, changes: Changes): string {
  const isShell = form !== 'json' && form !== 'dotenv'
  const rows = [...changes].filter(([name]) => isShell || name !== memoryName)
  for (const [name, value] of rows) if (value !== null) refuse(form, name, value)
  if (form === 'json') return `${JSON.stringify(Object.fromEntries(rows), null, 2)}\n`
  const { set, unset } = writers[form]
  return rows
    .map(([name, value]) => `${value === null ? unset(name) : set(name, value)}\n`)
    .join('')
}

interface Writer {
  readonly set: (name: string, value: string) => string
  readonly unset: (name: string) => string
}

const posix: Writer = {
  set: (name, value) => `export ${name}='${value.replaceAll("'", `'\\''`)}'`,
  unset: (name) => `unset ${name}`,
}

const writers: Readonly<Record<Exclude<Form, 'json'>, Writer>> = {
  bash: posix,
  zsh: posix,
  fish: {
    // In single quotes, fish reads only \' and \\ as something else than themselves.
    set: (name, value) => `set -gx ${name} '${value.replaceAll(/['\\]/g, String.raw`\$&`)}'`,
    unset: (name) => `set -e ${name}`,
  },
  powershell: {
    // PowerShell takes typographic single quotes for straight ones (about_Quoting_Rules); two of
    // them in a row are one.
    set: (name, value) => `$env:${name} = '${value.replaceAll(/['‘’‚‛]/g, '$&$&')}'`,
    unset: (name) => `Remove-Item -LiteralPath Env:${name} -ErrorAction Ignore`,
  },
  dotenv: {
    // Docker's --env-file takes quotes for a part of the value, so there are none without need.
    set: (name, value) => `${name}=${/^[\w@%+=:,./-]+$/.test(value) ? value : `'${value}'`}`,
    unset: (name) => `${name}=`,
  },
}

function refuse(form: Form, name: string, value: string): void {
  // JSON has escapes for every character.
  if (form === 'json') return
  if (/\p{Cc}/u.test(value))
    throw new RootlingError(
      'usage',
      `${name} would be ${printable(value)}, and control characters cannot be printed safely.`,
      { hint: 'Print them as JSON: rootling env --shell json' },
    )
  if (form === 'dotenv' && value.includes("'"))
    throw new RootlingError(
      'usage',
      `${name} would be ${value}, and not every reader of dotenv files knows how to quote that.`,
      { hint: 'Print them as JSON: rootling env --shell json' },
    )
}
