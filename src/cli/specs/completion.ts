import type { CommandSpec } from '../command.ts'

export const completionSpec = {
  name: 'completion',
  summary: 'Print a completion script for a shell',
  positionals: '[bash|zsh|fish|powershell]',
  options: {},
  examples: [
    'eval "$(rootling completion bash)"',
    'rootling completion fish | source',
    'rootling completion fish > ~/.config/fish/completions/rootling.fish',
    'rootling completion powershell >> $PROFILE',
  ],
} as const satisfies CommandSpec
