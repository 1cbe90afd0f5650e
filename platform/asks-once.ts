import type { CommandResult } from './command.ts'
import type { Machine } from './machine.ts'

/**
 * Returns a machine that runs each query once, and answers it from memory when it comes again: for a
 * command that changes nothing and in which several checks ask the same store.
 */
export function asksOnce(machine: Machine): Machine {
  const answers = new Map<string, Promise<CommandResult>>()
  return {
    ...machine,
    query(program, args, options) {
      const key = JSON.stringify([program, args, options])
      const answer = answers.get(key) ?? machine.query(program, args, options)
      answers.set(key, answer)
      return answer
    },
  }
}
