import { defineConfig } from '@rsbuild/core'
import { certificateFor } from 'rootling'

export default defineConfig(async () => {
  const { key, cert } = await certificateFor(['localhost', '127.0.0.1', '::1'])
  return { server: { host: 'localhost', https: { key, cert } } }
})
