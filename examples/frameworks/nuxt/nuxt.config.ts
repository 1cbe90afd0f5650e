import { certificateFor } from 'rootling'

const { keyPath, certPath } = await certificateFor(['localhost', '127.0.0.1', '::1'])

export default defineNuxtConfig({
  devServer: { host: 'localhost', https: { key: keyPath, cert: certPath } },
})
