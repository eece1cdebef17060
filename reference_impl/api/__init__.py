"""The HTTP endpoints of distribution-spec, one file per noun, mapped onto ``registry``."""
