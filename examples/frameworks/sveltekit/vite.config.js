import { sveltekit } from '@sveltejs/kit/vite'
import rootling from 'rootling/vite'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [sveltekit(), rootling()],
})
