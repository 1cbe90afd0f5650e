import { bashScript } from './bash.ts'
import { completionModel, type Commands } from './model.ts'
import { fishScript } from './fish.ts'
import { powershellScript } from './powershell.ts'
import { zshScript } from './zsh.ts'

const scripts = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
  powershell: powershellScript,
} as const

/** A shell that has a completion script. */
export type Shell = keyof typeof scripts

export const shells = Object.keys(scripts) as readonly Shell[]

export const isShell = (word: string): word is Shell => Object.hasOwn(scripts, word)

/** Returns the completion script of a shell, which its user loads. */
export const completionScript = (shell: Shell, commands: Commands): string =>
  scripts[shell](completionModel(commands))

/** The name that a shell looks for in its directory of completions. */
export const completionFiles: Readonly<Record<Shell, string>> = {
  bash: 'rootling.bash',
  zsh: '_rootling',
  fish: 'rootling.fish',
  powershell: 'rootling.ps1',
}
