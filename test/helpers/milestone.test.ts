import { expect, test } from 'vitest'
import { milestone } from './milestone.ts'

test('what builds on a milestone says that it was not run, until the milestone is reached', () => {
  const install = milestone('the install')
  expect(() => install.required()).toThrow('not run: the install failed before it')
  install.reached()
  expect(() => install.required()).not.toThrow()
})
