"""TFX's Pusher, with a push that is whole or not there."""
