import type {Config} from '@oclif/core/interfaces'
import {callingName} from './calling-name.js'
import {renderBash} from './completion-bash.js'
import {renderFish} from './completion-fish.js'
import {placesOf} from './completion-places.js'
import {renderZsh} from './completion-zsh.js'

const renderers = {bash: renderBash, zsh: renderZsh, fish: renderFish}
export const completionShells = Object.keys(renderers) as readonly (keyof typeof renderers)[]

/** A script for a shell, made of what the manifest knows; nothing of ours runs when somebody presses Tab. */
export function renderCompletion(shell: string, config: Config): string {
  const render = renderers[shell as keyof typeof renderers]
  return render(callingName(), placesOf(config))
}
