export {end as default} from './warm-programs.js'
